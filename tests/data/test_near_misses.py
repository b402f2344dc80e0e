"""A list whose images are not there says so first, with the names that it looked for and where they may lie."""

import json
import re
import shutil

import pytest

from croftbench.data.roots import Roots
from croftbench.data.status import of_family
from croftbench.data.verify import verify
from croftbench.errors import DataError
from croftbench.progress import Silent
from croftbench.suites import registry
from tests.layouts import build, reduced
from tests.layouts.animals import same_as_built


@pytest.fixture
def lists(data, animals):
    """The photos of the animals as a list has them, in one folder; returns a function that rewrites its paths."""
    built = build(data, animals, "lists", ["photo"])
    file = data / "lists/splits/photo_kfold.txt"

    def rewrite(path=lambda name: name, label=lambda number: number):
        rows = [line.split() for line in file.read_text().splitlines()]
        file.write_text("".join(f"{path(name)} {label(int(number))}\n" for name, number in rows))
        return built

    return rewrite


def reason(data, manifests, split="animals/photo"):
    with pytest.raises(DataError) as error:
        Roots(data, manifests).split(split)
    return error.value.message


@pytest.mark.parametrize(
    ("path", "lies_as", "differs"),
    [
        (lambda name: name.upper(), "lists/photo_00001.jpg", "the case of its name"),
        (lambda name: name.replace(".jpg", ".png"), "lists/photo_00001.jpg", "another ending"),
        (lambda name: name.replace(".jpg", ".JPEG"), "lists/photo_00001.jpg", "another ending"),
        (lambda name: f"/home/me/sets/animals/{name}", "lists/photo_00001.jpg", "another folder"),
        (lambda name: f"C:\\sets\\animals\\{name}", "lists/photo_00001.jpg", "another folder"),
        (lambda name: f"photo/{name}", "lists/photo_00001.jpg", "another folder"),
    ],
)
def test_none_of_a_lists_images_is_there_and_the_near_miss_is_named(data, manifests, lists, path, lies_as, differs):
    lists(path)
    message = reason(data, manifests)
    assert "lists/splits/photo_kfold.txt names 33 images of photo, none of them is in lists: looked for " in message
    assert message.count("00001.") == 3  # among the first three, and with where it lies
    assert path("photo_00003.jpg") in message
    assert f"lies as {lies_as} ({differs})" in message


def test_images_of_something_else_in_their_place_are_named(data, manifests, lists):
    lists(lambda name: f"other_{name}")
    assert re.search(r"none of them is in lists: .*; there is lists/photo_00001.jpg", reason(data, manifests))


def test_no_image_at_all(data, manifests, lists):
    lists()
    for image in (data / "lists").glob("*.jpg"):
        image.unlink()
    assert "there is no image at all" in reason(data, manifests)


def test_images_one_folder_deeper_are_taken_and_said(data, manifests, lists):
    built = lists()
    (data / "lists/inner").mkdir()
    for image in (data / "lists").glob("*.jpg"):
        image.rename(image.parent / "inner" / image.name)
    roots = Roots(data, manifests)
    assert same_as_built(roots, built, "animals/photo")
    assert "lists" in str(roots.split("animals/photo").listing.notes[0])


def test_a_list_that_was_written_on_windows(data, manifests, animals):
    built = build(data, animals, "basenames", ["photo"])
    (file,) = data.rglob("photo.csv")
    file.write_text(file.read_text().replace("/", "\\"))
    assert same_as_built(Roots(data, manifests), built, "animals/photo")


@pytest.mark.parametrize(("shift", "low", "high"), [(-1, 0, 2), (1, 2, 4)])
def test_labels_that_are_counted_from_another_number_are_refused(data, manifests, lists, shift, low, high):
    built = lists(label=lambda number: number + shift)
    message = reason(data, manifests)
    assert f"the labels run from {low} to {high}, lists counts classes from 1 to 3" in message
    (data / "croftbench.toml").write_text(message.partition("in the data root: ")[2].rstrip("."))
    assert same_as_built(Roots(data, manifests), built, "animals/photo")


def test_labels_of_no_class_are_named(data, manifests, lists):
    lists(label=lambda number: number + 70)
    assert "the labels run from 71 to 73, lists counts classes from 1 to 3" in reason(data, manifests)


@pytest.fixture
def pets(tmp_path):
    """The pets with their split file, other dogs in place of the images; and the registry."""
    manifests = reduced(tmp_path / "manifests")
    folder = tmp_path / "data/oxford_pets"
    other = folder / "images/n02086646-Blenheim_spaniel"
    other.mkdir(parents=True)
    (other / "n02086646_1.jpg").write_bytes(b"x")
    rows = [[f"beagle_{i}.jpg", 4, "beagle"] for i in range(5)]
    (folder / "split_zhou_OxfordPets.json").write_text(json.dumps({"train": rows, "val": rows, "test": rows}))
    return folder, manifests


def test_the_reason_is_that_of_the_layout_that_fits_best(pets):
    folder, manifests = pets
    family, part = registry.split("oxford-pets/test", manifests)
    wanted = "split_zhou_OxfordPets.json names 5 images of test"
    said = verify(Roots(folder.parent, manifests), family, [part], Silent())
    (why,) = said.reports[0].failed
    assert wanted in why
    assert said.fault is not None
    assert wanted in said.fault.message
    (status,) = (one for one in of_family(Roots(folder.parent, manifests), family) if one.split == "oxford-pets/test")
    assert status.state == "partial"
    assert wanted in status.message
    assert wanted in reason(folder.parent, manifests, "oxford-pets/test")


def test_a_list_that_is_missing_where_others_of_its_layout_lie_fits_better_than_one_without_a_trace(pets):
    folder, manifests = pets
    (folder / "split_zhou_OxfordPets.json").unlink()
    (folder / "annotations").mkdir()
    assert "oxford_pets/annotations/test.txt is missing" in reason(folder.parent, manifests, "oxford-pets/test")
    shutil.rmtree(folder / "annotations")
    assert "split_zhou_OxfordPets.json is missing" in reason(folder.parent, manifests, "oxford-pets/test")


def test_a_list_of_almost_that_name_is_pointed_out(pets):
    folder, manifests = pets
    (folder / "split_zhou_OxfordPets.json").rename(folder / "split_zhou_OxfordPets (1).json")
    message = reason(folder.parent, manifests, "oxford-pets/test")
    assert "is missing; there is oxford_pets/split_zhou_OxfordPets (1).json" in message
