"""What a user types for a parameter: what is read, and what is refused rather than guessed."""

import pytest

from croftbench.errors import UsageError
from croftbench.values import convert


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (bool, "true", True), (bool, "False", False), (int, "-3", -3), (int, " 5 ", 5), (float, "1e-3", 1e-3),
        (float, "2", 2.0), (float, "0.1", 0.1), (str, "", ""), (str, "a=b, c", "a=b, c"),
        (str, "caf\udce9.txt", "caf\udce9.txt"),
    ],
)  # fmt: skip
def test_text_becomes_the_declared_type(kind, text, value):
    converted = convert("croft's x", text, kind)
    assert converted == value
    assert type(converted) is kind


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (bool, "1"), (bool, "on"), (bool, ""), (int, "2.0"), (int, "1e3"), (int, "True"), (int, ""), (float, "nan"),
        (float, "-inf"), (float, "1,5"), (float, "True"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(kind, text):
    with pytest.raises(UsageError) as caught:
        convert("croft's x", text, kind, hint="Its default is 1.")
    assert caught.value.message == f"'{text}' is not a value for croft's x: it is of type {kind.__name__}."
    assert caught.value.hint == "Its default is 1."


def test_a_choice_is_one_of_those_declared():
    assert convert("react's sides", "two", str, ("two", "one")) == "two"
    assert convert("croft's depth", "2", int, ("1", "2")) == 2
    with pytest.raises(UsageError, match=r"unknown value of react's sides 'tow'\. Did you mean 'two'"):
        convert("react's sides", "tow", str, ("two", "one"))
