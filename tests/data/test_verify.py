"""What the doctor says of sets that are whole, short, mixed, stray or damaged."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from croftbench.data import decoding
from croftbench.data.roots import Roots
from croftbench.data.verify import verify
from croftbench.suites import registry
from croftbench.suites.families import Variant
from tests.layouts import build, names_below, reduced
from tests.layouts.pictures import picture


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    return reduced(tmp_path_factory.mktemp("registry") / "manifests")


class Counted:
    """Progress that adds up what it was told."""

    total = done = 0

    def stage(self, name: str, total: int) -> None:
        self.total += total

    def advance(self, steps: int = 1) -> None:
        self.done += steps


@pytest.fixture
def checked(tmp_path, manifests):
    """`checked(split, deep=False)`: its report on the root tmp_path, and what progress was told."""

    def call(split: str, deep: bool = False):
        family, part = registry.split(split, manifests)
        told = Counted()
        before = list(names_below(tmp_path))
        (report,) = verify(Roots(tmp_path, manifests), family, [part], told, deep=deep).reports
        assert list(names_below(tmp_path)) == before, "nothing is written"
        return report, told

    return call


@pytest.fixture
def pacs(tmp_path, manifests) -> Path:
    return build(tmp_path, registry.family("pacs", manifests), "domainbed").at


def test_a_whole_domain(checked, pacs):
    report, told = checked("pacs/photo")
    (place,) = report.places
    assert report.sound
    assert (place.layout, place.at, place.verdict.state) == ("domainbed", "PACS", "complete")
    assert place.images == sum(one.images for one in place.classes) == report.part.images
    assert all(one.images == one.expected for one in place.classes)
    assert (place.decoded, told.total) == (0, 0), "nothing is opened unless asked"


def test_missing_images_are_counted_by_class(checked, pacs):
    next((pacs / "photo/dog").iterdir()).unlink()
    for path in (pacs / "photo/horse").iterdir():
        path.unlink()
    report, _ = checked("pacs/photo")
    short = {one.id: (one.images, one.expected) for one in report.places[0].classes if one.images != one.expected}
    assert not report.sound
    assert short == {"dog": (1, 2), "horse": (0, 2)}
    assert [note.examples for note in report.places[0].notes if note.what == "missing-class"] == [("horse",)]
    assert checked("pacs/sketch")[0].sound, "the other domains are whole"


def test_strays_are_said_and_not_counted(checked, pacs):
    (pacs / "photo/README.txt").write_text("read me")
    (pacs / "photo/dog/Thumbs.db").write_text("")
    report, _ = checked("pacs/photo")
    assert report.sound
    said = " ".join(map(str, report.places[0].notes))
    assert "README.txt" in said
    assert "Thumbs.db" in said


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "truncated"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("<html>404</html>"), "not an image but a web page"),
    ],
    ids=["truncated", "empty", "a web page"],
)
def test_deep_finds_what_cannot_be_decoded(checked, pacs, damage, why):
    path = sorted((pacs / "photo/dog").iterdir())[0]
    damage(path)
    assert checked("pacs/photo")[0].sound, "names alone do not show it"
    report, told = checked("pacs/photo", deep=True)
    ((unreadable, reason),) = report.places[0].unreadable
    assert unreadable == str(path.relative_to(pacs.parent))
    assert why in reason.lower()
    assert "BytesIO" not in reason
    assert not report.sound
    assert told.total == told.done == report.places[0].decoded == report.part.images


def test_deep_decodes_every_format_of_a_sound_set(checked, pacs):
    folder = pacs / "photo/dog"
    for path, kind in zip(sorted(folder.iterdir()), ("png", "webp"), strict=True):
        path.unlink()
        path.with_suffix(f".{kind}").write_bytes(picture(kind, 1))
    report, _ = checked("pacs/photo", deep=True)
    assert report.sound


def test_deep_counts_what_other_loaders_read_differently(checked, pacs):
    path = sorted((pacs / "photo/dog").iterdir())[0]
    Image.new("CMYK", (8, 8)).save(path, "JPEG")
    report, _ = checked("pacs/photo", deep=True)
    assert report.sound
    assert report.places[0].remarks == {decoding.INK: 1}
    assert report.to_dict()["places"][0]["remarks"] == {decoding.INK: 1}


@pytest.mark.parametrize(("family", "layout"), [("imagenet-v2", "webdataset"), ("pacs", "huggingface")])
def test_deep_reads_inside_shards(checked, tmp_path, manifests, family, layout):
    known = registry.family(family, manifests)
    build(tmp_path, known, layout)
    report, told = checked(known.split_id(known.parts[0].name), deep=True)
    assert report.sound
    assert told.done == report.places[0].decoded > 0


def test_two_layouts_of_one_split_are_both_shown_the_whole_one_first(checked, tmp_path, manifests, pacs):
    build(tmp_path, registry.family("pacs", manifests), "huggingface")
    next((pacs / "photo/dog").iterdir()).unlink()
    report, _ = checked("pacs/photo")
    assert [(p.layout, p.verdict.state) for p in report.places] == [
        ("huggingface", "complete"),
        ("domainbed", "incomplete"),
    ]
    assert report.sound, "runs take the whole one"


def test_a_known_variant_is_named(tmp_path, manifests):
    family, part = registry.split("terra/location_100", manifests)
    at = build(tmp_path, family, "domainbed").at
    next((at / "location_100").rglob("*.jpg")).unlink()
    known = replace(part, variants=(Variant(part.images - 1, "from today's link"),))
    (report,) = verify(Roots(tmp_path, manifests), family, [known], Counted()).reports
    assert report.places[0].verdict.state == "variant"
    assert "from today's link" in report.places[0].verdict.message
    assert report.sound


def test_what_is_nowhere_has_no_place(checked):
    report, _ = checked("pacs/photo")
    assert (report.places, report.failed, report.sound) == ((), (), False)


def test_what_is_there_without_its_list_says_what_lacks(checked, tmp_path, manifests):
    at = build(tmp_path, registry.family("caltech101", manifests), "coop").at
    (split_file,) = at.glob("*.json")
    split_file.unlink()
    report, _ = checked("caltech101/test")
    assert not report.places
    assert split_file.name in report.failed[0]


def test_a_shipped_table_is_whole(manifests):
    family, part = registry.split("emoji/noto")
    (report,) = verify(Roots(), family, [part], Counted(), deep=True).reports
    assert report.sound
    assert report.places[0].decoded == part.images
