"""A family's manifest means what it says, or is refused with the line at fault."""

import pytest

from croftbench.errors import ManifestError, UsageError
from croftbench.suites import registry, toml

BEASTS = """name = "beasts"
title = "Three beasts"
licence = "CC0-1.0"
homepage = "https://example.org"
source = "made for tests"
citation = "@misc{beasts, title={Beasts}, year={2026}}"
unverified = ["parts.day.images"]
classes = "beasts.tsv"
get = { from = "hand", say = "Ask." }

[[parts]]
name = "day"
images = 6
per_class = [1, 2, 3]

[[parts]]
name = "night"
images = 4
per_class = 2
subset = "big.txt"

[[layouts]]
name = "plain"
kind = "folders"
at = ["beasts", "Beasts"]
aliases = { "grizzly" = "n3" }

[[layouts]]
name = "listed"
kind = "list"
at = ["listed"]
folders = { day = "sun", night = ["moon", "stars"] }
file = "{part}.txt"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "splits").mkdir()
    (tmp_path / "lists").mkdir()
    (tmp_path / "splits/beasts.toml").write_text(BEASTS)
    (tmp_path / "lists/beasts.tsv").write_text("n1\tant\nn2\tlion\nn3\tbear\n")
    (tmp_path / "lists/big.txt").write_text("n3\nn2\n")
    return tmp_path


def test_a_family_is_read_as_it_is_written(folder):
    beasts = registry.family("beasts", folder)
    assert beasts.ids == ("n1", "n2", "n3")
    assert beasts.classnames == ("ant", "lion", "bear")
    assert beasts.get.via == "hand"
    assert beasts.part("day").counts == (1, 2, 3)
    assert beasts.part("night").members == (2, 1), "in the order of the subset's list"
    assert beasts.part("night").counts == (2, 2)
    plain, listed = beasts.layouts
    assert plain.folders_of("day") == ("day",)
    assert listed.folders_of("night") == ("moon", "stars")
    assert listed.files_of("day") == ("day.txt",)
    assert not beasts.shipped


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("images = 4", "imagse = 4", 18, "unknown key 'parts.1.imagse'. Did you mean 'images'?"),
        ("images = 4", 'images = "four"', 18, "parts.1.images: input should be a valid integer"),
        ('kind = "list"', 'kind = "lists"', 30, "layouts.1.kind: input should be 'folders', 'flat'"),
        ('licence = "CC0-1.0"', 'licence = ""', 3, "licence is empty"),
        ("@misc{", "misc{", 6, "the citation is no BibTeX entry"),
        ("per_class = [1, 2, 3]", "per_class = [1, 2]", 14, "per_class has 2 numbers for 3 classes"),
        ("images = 6", "images = 7", 14, "per_class sums to 6, images says 7"),
        ('name = "night"', 'name = "day"', None, "two parts are called 'day'"),
        ('name = "night"', 'name = "by night"', 17, "'by night' is no name of letters"),
        ('subset = "big.txt"', 'subset = "huge.txt"', 20, "there is no list huge.txt"),
        ('classes = "beasts.tsv"', 'classes = "big.txt"', 8, "big.txt:1: 'n3' is no 'id<TAB>name'"),
        ('"grizzly" = "n3"', '"grizzly" = "n4"', 26, "means 'n4', which is no class of beasts"),
        ('day = "sun"', 'dusk = "sun"', 32, "beasts has no part 'dusk'"),
        ('file = "{part}.txt"\n', "", None, "a list layout needs 'file'"),
        ('file = "{part}.txt"', 'file = "lists/none.txt"', 33, "there is no list none.txt"),
        ('at = ["listed"]', 'at = ["../listed"]', 31, "'../listed' leads out of the data root"),
        ('at = ["listed"]', 'at = ["/listed"]', 31, "'/listed' leads out of the data root"),
        ('at = ["listed"]', 'at = ["listed"]\nline = "path class"', 32, "other columns than path, label, =value and -"),
        ('at = ["beasts", "Beasts"]', 'at = ["."]\nfolder = "."', 25, "the whole data root is no layout"),
        ('unverified = ["parts.day.images"]', 'unverified = ["parts.dawn.images"]', 7, "is no key of this file"),
        ('say = "Ask."', 'repo = "a/b"', 9, "get from 'hand' needs 'say'"),
        ("images = 4", "images = 4\nvariants = [{ images = 4, note = 'the same' }]", 19, "a variant has the same 4"),
        ("images = 4", "images = 4\ndigest = 'abc'", 19, "the digest is no SHA-256"),
        ('name = "beasts"', 'name = "beast"', 1, "the name must be the file's"),
        ("[[layouts]]", "[[layout]]", None, "unknown key 'layout'. Did you mean 'layouts'?"),
    ],
)
def test_a_broken_rule_names_file_line_and_fault(folder, old, new, line, says):
    path = folder / "splits/beasts.toml"
    assert old in BEASTS
    path.write_text(BEASTS.replace(old, new) if old == "[[layouts]]" else BEASTS.replace(old, new, 1))
    with pytest.raises(ManifestError) as caught:
        registry.family("beasts", folder)
    message = next(one for one in caught.value.message.splitlines() if says in one)
    assert message.startswith(f"beasts.toml:{line}: " if line else "beasts.toml")


def test_every_fault_is_told_at_once_each_with_its_line(folder):
    text = BEASTS.replace('licence = "CC0-1.0"', 'licence = ""').replace("images = 4", "images = -4")
    (folder / "splits/beasts.toml").write_text(text.replace('day = "sun"', 'dusk = "sun"'))
    with pytest.raises(ManifestError) as caught:
        registry.family("beasts", folder)
    lines = caught.value.message.splitlines()
    assert [line.split(":")[1] for line in lines] == ["3", "19", "18", "32"]


def test_a_private_data_set_owes_nobody_a_licence_or_a_citation(folder):
    owed = ("title", "licence", "homepage", "source", "citation", "unverified")
    text = "\n".join(line for line in BEASTS.splitlines() if not line.startswith(owed))
    (folder / "splits/beasts.toml").write_text(text)
    beasts = registry.family("beasts", folder)
    assert (beasts.licence, beasts.title, beasts.citation) == ("private", "beasts", "")


def test_names_that_two_classes_share_need_an_alias(folder):
    (folder / "lists/beasts.tsv").write_text("n1\tcrane\nn2\tlion\nn3\tcrane\n")
    path = folder / "splits/beasts.toml"
    path.write_text(BEASTS.replace('kind = "folders"', 'kind = "folders"\nkey = "name"').replace("grizzly", "bear"))
    registry.family("beasts", folder)
    path.write_text(BEASTS.replace('kind = "list"', 'kind = "list"\nkey = "name"'))
    registry.family.cache_clear()
    with pytest.raises(ManifestError, match="two classes are called 'crane'"):
        registry.family("beasts", folder)


def test_a_split_is_found_by_its_id():
    family, part = registry.split("emoji/noto")
    assert (family.name, part.name, family.split_id("noto")) == ("emoji", "noto", "emoji/noto")
    assert registry.split("digits")[1].name == "digits"
    with pytest.raises(UsageError, match="Did you mean 'emoji'"):
        registry.split("emojis/noto")


@pytest.mark.parametrize("name", toml.names("splits"))
def test_every_family_that_ships_keeps_the_rules(name):
    family = registry.family(name)
    assert family.licence
    assert family.source
    assert family.citation
