"""The 1,000 classes of ImageNet as names that icons share: their own, and broader ones from WordNet ("dog")."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from glyphs import Glyph
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from pairs import slug_words, words

OBJECTS = {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"}
OTHER_SENSE = set(
    """adhesive-bandage bank bed bow construction crane fish-cake game gear house key locked package person ring seat
    shield toilet top two-oclock white-flower wood""".split()
)
"""Emoji names that a broader class of WordNet also has, or may have, in another sense."""


def names(table: list[Glyph], wordnet: Path) -> list[dict]:
    """One dict a class, in the classifier's order.

    Keys:
        name: open_clip's name of it.
        key: as `pairs.py` spells it, so that an icon of the same name has the same key.
        broader: name -> key of the emoji of objects that WordNet 3.0 says it is a kind of.

    Args:
        table: Unicode's emoji.
        wordnet: folder with WordNet 3.0's `data.noun` (Debian: wordnet-base).
    """
    stems = {
        tuple(words(slug_words(n))): g for g in reversed(table) if g.group != "Flags" for n in (*g.aliases, g.name)
    }
    nouns = _nouns(wordnet / "data.noun")
    synsets = resources.files("timm.data").joinpath("_info/imagenet_synsets.txt").read_text().split()
    found = []
    for name, synset in zip(IMAGENET_CLASSNAMES, synsets, strict=True):
        stem = tuple(words(slug_words(name)))
        broader = {}
        for lemma in _ancestors(nouns, synset[1:]):
            glyph = stems.get(tuple(words(slug_words(lemma))))
            if glyph and glyph.group in OBJECTS and glyph.slug not in OTHER_SENSE:
                broader[glyph.name] = glyph.slug
        key = stems[stem].slug if stem in stems else "-".join(stem)
        found.append({"name": name.lower(), "key": key, "broader": broader})
    return found


def _nouns(path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Offset of a synset -> its lemmas, and the offsets of its hypernyms."""
    nouns = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        cells = line.split(" | ")[0].split()
        count = int(cells[3], 16)
        lemmas = [cells[4 + 2 * i].replace("_", " ") for i in range(count)]
        pointers = cells[4 + 2 * count + 1 :]
        nouns[cells[0]] = lemmas, [pointers[i + 1] for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")]
    return nouns


def _ancestors(nouns: dict[str, tuple[list[str], list[str]]], offset: str) -> list[str]:
    """Lemmas of all synsets above one."""
    lemmas, above = [], list(nouns[offset][1])
    while above:
        own, more = nouns[above.pop()]
        lemmas += own
        above += more
    return lemmas
