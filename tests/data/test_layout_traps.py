"""What is wrong on people's disks is said, counted, and hides nothing else."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croftbench.data.roots import Roots
from croftbench.data.scan.layouts import occurrences
from croftbench.data.scan.tree import Tree
from croftbench.errors import DataError
from croftbench.suites import registry
from tests.layouts import build
from tests.layouts.animals import ANIMALS, CLASSES, contents, same_as_built
from tests.layouts.generated import Listing


def test_a_class_that_is_missing_is_named_and_the_part_is_incomplete(data, manifests, animals):
    build(data, animals, "names")
    shutil.rmtree(data / "zoo/names/photo/Big Cats")
    located = Roots(data, manifests).split("animals/photo")
    assert located.verdict.state == "incomplete"
    assert located.verdict.message == "22 of 33 images; n2 0 of 11"
    assert not located.verdict.usable
    assert "1 classes without an image: n2" in [str(note) for note in located.listing.notes]


def test_strays_other_spellings_and_two_folders_of_one_class_are_said(data, manifests, animals):
    build(data, animals, "names")
    photo = data / "zoo/names/photo"
    (photo / "README.txt").write_text("hello")
    (photo / "notes.txt").write_text("hello")
    (photo / "aardvark/Thumbs.db").write_bytes(b"x")
    (photo / "sea_horse").rename(photo / "Sea Horse")
    (photo / "lion").mkdir()
    (photo / "Big Cats/photo_00012.jpg").rename(photo / "lion/a.jpg")
    (photo / "unicorn").mkdir()
    (photo / "aardvark/photo_00001.jpg").replace(photo / "unicorn/x.jpg")
    located = Roots(data, manifests).split("animals/photo")
    notes = {note.what: note for note in located.listing.notes}
    assert notes["ignored"].examples == ("README.txt",)
    assert set(notes["stray"].examples) == {"notes.txt", "aardvark/Thumbs.db"}
    assert notes["renamed"].examples == ("'Sea Horse' for n33",)
    assert notes["merged"].examples == ("'lion' with 'Big Cats'",)
    assert notes["unknown-class"].examples == ("unicorn",)
    assert located.listing.per_class(located.part) == [10, 11, 11]


def test_images_that_a_list_names_and_nobody_has_are_counted(data, manifests, animals):
    build(data, animals, "lists")
    (data / "lists/photo_00001.jpg").unlink()
    listing = Roots(data, manifests).split("animals/photo").listing
    (note,) = listing.notes
    assert str(note) == "1 images that the list names and that are not there: photo_00001.jpg"


def test_a_missing_split_file_is_said_where_the_images_are(data, manifests, animals):
    build(data, animals, "coop")
    (data / "coop/split_zhou_Animals.json").unlink()
    roots = Roots(data, manifests)
    with pytest.raises(DataError, match=r"coop/split_zhou_Animals.json is missing.*croftbench data get animals/photo"):
        roots.split("animals/photo")
    (data / "coop/split_zhou_Animals.json").write_text("{]")
    with pytest.raises(DataError, match=r"split_zhou_Animals.json:1: not valid JSON"):
        Roots(data, manifests).split("animals/photo")


def test_a_list_of_another_length_than_its_folder_is_refused(data, manifests, animals):
    build(data, animals, "positions")
    next((data / "positions/photo/flat").iterdir()).unlink()
    with pytest.raises(DataError, match="labels 33 images, positions/photo/flat holds 32"):
        Roots(data, manifests).split("animals/photo")


def test_labels_by_position_need_one_order_of_the_images(data, manifests, animals):
    build(data, animals, "positions")
    for image in (data / "positions/photo/flat").iterdir():
        image.rename(image.with_name(f"{int(image.stem[-5:])}.jpg"))
    with pytest.raises(DataError, match=r"10.jpg comes before 2.jpg|19.jpg comes before 2.jpg"):
        Roots(data, manifests).split("animals/photo")


@pytest.mark.parametrize(("layout", "file"), [("shards", "0.tar"), ("hub-split", "*.parquet")])
def test_a_damaged_shard_is_said_and_stops_nothing_else(data, manifests, animals, layout, file):
    build(data, animals, layout)
    build(data, animals, "ids", ["art"])
    shard = next(path for path in data.rglob(file) if "photo" in str(path))
    shard.write_bytes(shard.read_bytes()[:700])
    roots = Roots(data, manifests)
    with pytest.raises(DataError, match="cannot be read"):
        roots.split("animals/photo")
    assert roots.split("animals/art").verdict.state == "complete"


def test_links_that_lead_upwards_are_not_followed(data, manifests, animals):
    built = build(data, animals, "ids")
    (data / "ids/photo/n2/again").symlink_to(data / "ids", target_is_directory=True)
    shutil.move(data / "ids/Art Paintings", data / "elsewhere")
    (data / "ids/Art Paintings").symlink_to(data / "elsewhere", target_is_directory=True)
    roots = Roots(data, manifests)
    assert same_as_built(roots, built, "animals/photo")
    assert same_as_built(roots, built, "animals/art")


def test_each_folder_is_read_once_and_no_file_is_asked_for_its_status():
    family = registry.family("imagenet")
    names = Listing("/data", family.ids, {"train": 20, "val": 5})
    (occurrence,) = occurrences(family, Tree(Path("/data"), names))
    assert {part: len(listing) for part, listing in occurrence.parts.items()} == {"train": 20_000, "val": 5_000}
    assert len(names.read) == len(set(names.read))
    train = occurrence.parts["train"]
    assert train.labels.tolist() == [label for label in range(1000) for _ in range(20)]
    assert train.paths[:2] == ("n01440764/n01440764_0.JPEG", "n01440764/n01440764_1.JPEG")


def test_a_folder_that_may_not_be_read_is_said_and_hides_nothing_else(data, manifests, animals):
    build(data, animals, "ids")
    build(data, animals, "names", ["art"])

    def scan(path):
        if path.endswith("ids/photo/n2"):
            raise PermissionError(13, "Permission denied", path)
        return os.scandir(path)

    met = {one.layout.name: one for one in occurrences(animals, Tree(data, scan))}
    assert met["ids"].absent["photo"].endswith("ids/photo/n2 cannot be read: Permission denied")
    assert "photo" in met["ids"].near
    assert set(met["ids"].parts) == {"art"}
    assert set(met["names"].parts) == {"art"}


def test_listed_duplicates_are_left_out_and_counted(data, manifests, animals):
    path = manifests / "splits/animals.toml"
    path.write_text(
        ANIMALS.replace('name = "photo"\nimages = 33\nper_class = 11', 'name = "photo"\nexclude = "twice.txt"')
    )
    (manifests / "lists/twice.txt").write_text(
        "photo/n2/photo_00012.jpg\nphoto/n2/photo_00013.jpg\nphoto/n2/gone.jpg\n"
    )
    build(data, animals, "ids")
    registry.family.cache_clear()
    listing = Roots(data, manifests).split("animals/photo").listing
    assert len(listing) == 31
    assert not [path for path in listing.paths if "00012" in path or "00013" in path]
    (note,) = listing.notes
    assert (note.what, note.count) == ("excluded", 2)


def test_a_list_cannot_lead_out_of_the_folder(data, manifests, animals):
    build(data, animals, "lists")
    (data.parent / "secret.jpg").write_bytes(b"x")
    with (data / "lists/splits/photo_kfold.txt").open("a") as file:
        file.write("../../secret.jpg 1\n")
    listing = Roots(data, manifests).split("animals/photo").listing
    assert len(listing) == 33
    assert [note.what for note in listing.notes] == ["missing-file"]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20))
)
def test_any_file_name_is_listed_and_read(names):
    names = {f"{i}{name}.jpg": bytes([i]) for i, name in enumerate(names[:20])} | {"plain.jpg": b"plain"}
    with tempfile.TemporaryDirectory() as folder:
        data, manifests = Path(folder, "data"), Path(folder, "manifests")
        for made in (data / "ids/photo/n2", manifests / "splits", manifests / "lists"):
            made.mkdir(parents=True)
        (manifests / "splits/animals.toml").write_text(ANIMALS)
        (manifests / "lists/animals.tsv").write_text(CLASSES)
        for name, content in names.items():
            (data / "ids/photo/n2" / name).write_bytes(content)
        roots = Roots(data, manifests)
        located = roots.split("animals/photo")
        assert sorted(contents(roots, located)) == sorted((1, content) for content in names.values())
        assert list(located.listing.paths) == sorted(located.listing.paths)
