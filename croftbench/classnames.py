"""Class names as prompts and comparisons see them. No torch: suites are checked with it."""

from __future__ import annotations


def as_words(name: str) -> str:
    """A class name as a prompt holds it: "hot_dog" -> "hot dog"."""
    return name.replace("_", " ")


def comparable(name: str) -> str:
    """What two spellings of one name share: "Hot_Dog " -> "hot dog"."""
    return " ".join(as_words(name).casefold().split())
