"""The facts that ship: what the manifests of `splits/` claim must agree with itself and with other sources of it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from importlib.resources import files

import pytest

from croftbench.suites import registry
from croftbench.suites.families import Family, Part
from croftbench.suites.toml import names

FAMILIES = names("splits")
ON_DISK = [name for name in FAMILIES if not registry.family(name).shipped]
WNID = re.compile(r"n\d{8}")


def total(name: str, *parts: str) -> int:
    family = registry.family(name)
    return sum(part.images for part in family.parts if not parts or part.name in parts)


def ids(name: str) -> list[str]:
    """A list of ids that ships, or the first column of one."""
    return [line.split("\t")[0] for line in registry.lines_of(registry.family("imagenet").lists / name)]


# ------------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("name", "images", "classes"),
    [
        ("pacs", 9991, 7), ("vlcs", 10729, 5), ("officehome", 15588, 65), ("terra", 24788, 10),
        ("domainnet", 586575, 345), ("ninco-clean", 2715, 0), ("ninco", 5879, 64), ("ninco-unit", 6800, 17),
        ("openimage-o", 17632, 0), ("objectnet", 18574 + 50273, 313),
    ],
)  # fmt: skip
def test_parts_sum_to_the_published_total(name: str, images: int, classes: int) -> None:
    assert total(name) == images
    assert len(registry.family(name).ids) == classes


@pytest.mark.parametrize(
    ("name", "images", "classes"),
    [
        ("caltech101", 8242, 100), ("dtd", 5640, 47), ("food101", 101000, 101), ("oxford-pets", 3680 + 3669, 37),
        ("stanford-cars", 8144 + 8041, 196), ("flowers102", 8189, 102), ("fgvc-aircraft", 10000, 100),
        ("sun397", 2 * 19850, 397), ("eurosat", 27000, 10), ("ucf101", 9537 + 3783, 101),
    ],
)  # fmt: skip
def test_coops_splits_hold_every_image_once(name: str, images: int, classes: int) -> None:
    family = registry.family(name)
    assert total(name, "train", "val", "test") == images
    assert len(family.ids) == classes
    for part in family.parts:
        assert part.name != "all" or part.images == images


def test_a_domain_keeps_its_count_whatever_duplicates_or_links_are_left_out() -> None:
    """The variants of all domains together are totals that others report."""

    def other(part: Part) -> int:
        return part.variants[0].images if part.variants else part.images

    assert sum(map(other, registry.family("terra").parts)) == 24330
    duplicates = {p.name: other(p) - p.images for p in registry.family("domainnet").parts}
    assert duplicates == {
        "clipart": 704, "infograph": 1596, "painting": 3493, "quickdraw": 0, "real": 2380, "sketch": 1258,
    }  # fmt: skip
    assert sum(duplicates.values()) == 9431


def test_imagenets_validation_images_are_shared_out() -> None:
    family = registry.family("imagenet")
    assert family.part("openood-test").images + family.part("openood-val").images == family.part("val").images == 50000
    labels = Counter(line.split()[1] for line in registry.lines_of(family.lists / "imagenet-val.txt.gz"))
    assert labels == dict.fromkeys(family.ids, 50)


def test_the_two_textures_are_two_keys() -> None:
    whole, fewer = registry.family("dtd").part("all"), registry.family("textures").parts[0]
    assert (whole.images, len(whole.members)) == (5640, 47)
    assert (fewer.images, len(fewer.members)) == (5160, 43)


def test_openimage_o_is_two_disjoint_lists_of_the_stated_lengths() -> None:
    family = registry.family("openimage-o")
    test, val = (ids(f"openimage-o-{part.name}.txt.gz") for part in family.parts)
    assert [len(test), len(val)] == [part.images for part in family.parts]
    assert len({*test, *val}) == len(test) + len(val)


def test_imagenet_c_has_every_type_at_every_severity() -> None:
    types = Counter(part.name.split("/")[0] for part in registry.family("imagenet-c").parts)
    assert len(types) == 19
    assert set(types.values()) == {5}


# ------------------------------------------------------------------------------------------ classes


def test_imagenets_classes_are_timms_in_timms_order() -> None:
    synsets = (files("timm") / "data/_info/imagenet_synsets.txt").read_text().split()
    assert list(registry.family("imagenet").ids) == synsets
    assert all(WNID.fullmatch(wnid) for wnid in synsets)


def test_imagenets_names_are_those_that_clip_is_prompted_with() -> None:
    from open_clip import IMAGENET_CLASSNAMES

    family = registry.family("imagenet")
    assert family.classnames == tuple(IMAGENET_CLASSNAMES)
    twice = {name for name, count in Counter(family.classnames).items() if count > 1}
    assert twice == {"missile", "sunglasses"}
    assert [i for i, name in enumerate(family.classnames) if name in twice] == [657, 744, 836, 837]


@pytest.mark.parametrize("name", sorted(set(ON_DISK) - {"imagenet"}))
def test_only_imagenet_has_two_classes_of_one_name(name: str) -> None:
    family = registry.family(name)
    if family.ids != registry.family("imagenet").ids:
        assert len(set(family.classnames)) == len(family.classnames)


@pytest.mark.parametrize(
    ("file", "count"),
    [(f"imagenet-{name}.txt", count) for name, count in {"a": 200, "r": 200, "10": 10, "20": 20, "100": 100}.items()],
)
def test_a_subset_of_imagenet_is_in_its_order(file: str, count: int) -> None:
    chosen = ids(file)
    assert len(chosen) == len(set(chosen)) == count
    assert chosen == [wnid for wnid in registry.family("imagenet").ids if wnid in set(chosen)]


def test_mcms_ten_and_twenty_are_hard_because_they_are_different_classes() -> None:
    assert not set(ids("imagenet-10.txt")) & set(ids("imagenet-20.txt"))


def test_objectnets_overlap_means_imagenet_classes() -> None:
    known = set(registry.family("imagenet").ids)
    family = registry.family("objectnet")
    meaning = dict(line.split("\t") for line in registry.lines_of(family.lists / "objectnet-imagenet.tsv"))
    assert list(meaning) == ids("objectnet-113.txt") == sorted(meaning)
    wnids = [wnid for some in meaning.values() for wnid in some.split()]
    assert len(meaning) == 113
    assert len(wnids) == len(set(wnids)) == 125
    assert set(wnids) <= known


@pytest.mark.parametrize(
    "name", ["pacs", "vlcs", "officehome", "terra", "domainnet", "dtd", "food101", "eurosat", "caltech101"]
)
def test_labels_follow_sorted_folders(name: str) -> None:
    """What ImageFolder, CoOp's split files and the hub's class labels all number by."""
    family = registry.family(name)
    assert list(family.ids) == sorted(family.ids)


# ------------------------------------------------------------------------------- licence and citation


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_says_whose_it_is(name: str) -> None:
    family = registry.family(name)
    assert all((family.title, family.licence, family.homepage.startswith("http"), family.source))
    assert "\n" not in family.title + family.licence + family.source
    assert any(family.homepage.startswith(scheme) for scheme in ("http://", "https://"))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_citation_is_bibtex(name: str) -> None:
    entries = bibtex(registry.family(name).citation)
    assert entries
    for fields_ in entries.values():
        assert {"title", "author", "year"} <= set(fields_)
        assert re.fullmatch(r"(19|20)\d\d", fields_["year"])


def test_an_entry_that_two_families_cite_is_the_same() -> None:
    seen: dict[str, dict[str, str]] = {}
    for name in FAMILIES:
        for key, entry in bibtex(registry.family(name).citation).items():
            assert seen.setdefault(key, entry) == entry, f"{key} differs in {name}"


def bibtex(text: str) -> dict[str, dict[str, str]]:
    """Key -> fields of entries that hold one field a line; a line that is none, or an open brace, fails."""
    entries: dict[str, dict[str, str]] = {}
    for block in re.split(r"^(?=@)", text.strip(), flags=re.MULTILINE):
        if not block:
            continue
        assert block.count("{") == block.count("}"), block
        head, *lines, last = block.strip().splitlines()
        start = re.fullmatch(r"@(article|inproceedings|techreport|misc|book)\{([\w-]+),", head)
        assert start is not None, head
        assert last == "}"
        fields = [re.fullmatch(r"\s+(\w+) = \{(.+)\},?", line) for line in lines]
        assert all(fields), block
        entries[start[2]] = {match[1]: match[2] for match in fields if match}
    return entries


# ------------------------------------------------------------------------------------- what is unsure


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_unverified_is_a_claim_that_is_made(name: str) -> None:
    family = registry.family(name)
    assert len(set(family.unverified)) == len(family.unverified)
    for key in family.unverified:
        assert _claim(family, key), f"{key} makes no claim"


def _claim(family: Family, dotted: str) -> bool:
    """Whether there is something at a dotted key to be wrong about."""
    first, *rest = dotted.split(".")
    if first not in ("parts", "layouts"):
        return bool(getattr(family, first))
    owner = {one.name: one for one in getattr(family, first)}
    whole = ".".join(rest)
    if whole in owner:
        return True
    within, _, last = whole.rpartition(".")
    default = {f.name: f.default for f in fields(owner[within])}[last]
    return bool(getattr(owner[within], last)) and getattr(owner[within], last) != default


@pytest.mark.parametrize("name", ON_DISK)
def test_every_family_can_be_had_or_says_how(name: str) -> None:
    get = registry.family(name).get
    assert get.via in ("huggingface", "torchvision", "address", "hand")
    if get.via == "torchvision":
        import torchvision.datasets

        assert hasattr(torchvision.datasets, get.dataset)
    if get.via == "address":
        assert all(url.startswith(("http://", "https://")) for url in get.urls)


@pytest.mark.parametrize("name", ON_DISK)
def test_digests_look_like_digests(name: str) -> None:
    for archive in registry.family(name).archives:
        assert re.fullmatch(r"([0-9a-f]{32})?", archive.md5)
        assert re.fullmatch(r"([0-9a-f]{64})?", archive.sha256)
