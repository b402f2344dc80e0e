"""What a method's file says of it is read without importing it, however it is written."""

import pytest

from croftbench.plugins import citation, needs, stated, summary

CLASS = '''

class Other: ...


class Mine(
    Other
):
    """What it is."""

    needs: Needs = Needs(text="tower", train=False)

    def fit(self, task): ...
'''


@pytest.mark.parametrize(
    "docstring",
    [
        '"""Mine: short.\n\nA paper, ICML 2024.\n"""',
        "# a licence\n\n'''Mine: short.\n\nA paper, ICML 2024.\n'''",
        'r"""Mine: short.\n\nA paper, ICML 2024.\n"""',
        '"Mine: short.\\n\\nA paper, ICML 2024."',
        '"""\nMine: short.\n\nA paper, ICML 2024.\n"""',
    ],
)
def test_a_docstring_and_declared_needs(tmp_path, docstring):
    path = tmp_path / "mine.py"
    path.write_text(docstring + CLASS)
    stated._source.cache_clear()
    target = f"{path}:Mine"
    assert (summary(target), citation(target)) == ("Mine: short.", "A paper, ICML 2024.")
    assert needs(target) == "text tower, no training"


@pytest.mark.parametrize("text", ["", "x = 1\n", "x = (\n", '"unfinished'])
def test_a_file_that_says_nothing(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    stated._source.cache_clear()
    assert (summary(f"{path}:Mine"), needs(f"{path}:Mine")) == ("", "see its file")
