"""Files that contradict themselves, one another or the class list: said with an example, resolved or refused."""

import json

import pytest

from croftbench.data.roots import Roots
from croftbench.errors import DataError
from croftbench.suites import registry
from tests.layouts import build
from tests.layouts.animals import ANIMALS

BY_NUMBER = ANIMALS.replace(
    'file = "split_zhou_Animals.json"\nkey = "name"', 'file = "split_zhou_Animals.json"\nkey = "index"'
)
PHOTO, LABEL, NAME = 0, 1, 2


@pytest.fixture
def split(data, manifests):
    """`split(change, manifest=ANIMALS, classes=None)`: the photos of a CoOp copy whose split file was changed so."""

    def scan(change, manifest=ANIMALS, classes=None):
        (manifests / "splits/animals.toml").write_text(manifest)
        if classes:
            (manifests / "lists/animals.tsv").write_text(classes)
        registry.family.cache_clear()
        build(data, registry.family("animals", manifests), "coop")
        path = data / "coop/split_zhou_Animals.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return Roots(data, manifests).split("animals/photo").listing

    return scan


def notes(listing):
    return {note.what: note for note in listing.notes}


def renumbered(numbers, parts=("photo", "art")):
    def change(content):
        for part in parts:
            for entry in content[part]:
                entry[LABEL] = numbers.get(entry[LABEL], entry[LABEL])

    return change


def test_a_number_with_two_names_is_refused(split):
    def change(content):
        content["art"][3][NAME] = "unicorn"

    with pytest.raises(DataError, match=r"Animals.json, art\[3\] calls class 0 'unicorn', .*photo\[0\] 'aardvark'"):
        split(change)


def test_a_name_with_two_numbers_is_refused_where_names_decide(split):
    def change(content):
        content["photo"][2][LABEL] = 7

    with pytest.raises(DataError, match=r"photo\[2\] gives 'aardvark' number 7, .*photo\[0\] number 0"):
        split(change)


def test_lists_of_one_file_that_count_differently_are_refused(split):
    with pytest.raises(DataError, match=r"art\[0\] gives 'aardvark' number 3, .*photo\[0\] number 0"):
        split(renumbered({0: 3, 1: 4, 2: 5}, ["art"]), BY_NUMBER)


def test_two_classes_of_one_name_are_told_apart_by_number_and_said(split):
    listing = split(
        lambda content: None,
        BY_NUMBER.replace('key = "name"', 'key = "id"'),
        "n10\tcrane\nn2\tCrane\nn33\tsea_horse\n",
    )
    assert [listing.labels.tolist().count(label) for label in range(3)] == [11, 11, 11]
    assert notes(listing)["namesake"].count == 2
    assert notes(listing)["namesake"].examples == ("'crane' for n10 and n2",)


@pytest.mark.parametrize("numbers", [{0: 1, 1: 0}, {0: 1, 1: 2, 2: 0}])
def test_numbers_in_another_order_than_the_class_list_are_refused(split, numbers):
    with pytest.raises(DataError, match=r"calls class 1 'aardvark', which is 'lion' \(n2\) here: .* different orders"):
        split(renumbered(numbers), BY_NUMBER)


def test_names_that_decide_need_no_order_of_numbers(split):
    listing = split(renumbered({0: 2, 2: 0}))
    assert [listing.labels.tolist().count(label) for label in range(3)] == [11, 11, 11]
    assert "disagreeing" not in notes(listing)


def test_an_image_under_two_labels_is_refused_and_one_listed_twice_counts_once(split):
    def twice(content):
        content["photo"].append(list(content["photo"][4]))

    listing = split(twice)
    assert len(listing) == 33
    assert "photo[33] and coop/split_zhou_Animals.json, photo[4]" in notes(listing)["repeated"].examples[0]

    def both(content):
        twice(content)
        content["photo"][-1][LABEL:] = content["photo"][-2][LABEL:]

    with pytest.raises(DataError, match=r"photo\[33\] has n10/photo_00005.jpg under another label than .*photo\[4\]"):
        split(both)


def test_an_image_in_two_parts_is_said(split, manifests, data):
    one_folder = ANIMALS.replace('folder = "images/{part}"\nfile = "split', 'folder = "images"\nfile = "split')

    def change(content):
        content["art"][0] = content["photo"][0]

    listing = split(change, one_folder)
    assert str(notes(listing)["shared"]).startswith("1 images that another part's list has too: coop/images/n10/photo_")
    assert notes(listing)["shared"].examples[0].endswith(" in art")
    assert "shared" not in notes(split(lambda content: content.update(art=content["photo"]), one_folder)), "all of it"


# --------------------------------------------------------------------------------- lists and folders


@pytest.fixture
def listed(data, manifests):
    """`listed(labels)`: photos in folders aardvark, lion and sea_horse, and a list that gives these labels, from 1."""

    def scan(labels, folders=("aardvark", "lion", "sea_horse")):
        lines = []
        for folder, label in zip(folders, labels, strict=True):
            for i in range(11):
                path = data / f"lists/{folder}/{i}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"x")
                lines.append(f"{folder}/{i}.jpg {label}\n")
        (data / "lists/splits").mkdir(exist_ok=True)
        (data / "lists/splits/photo_kfold.txt").write_text("".join(lines))
        return Roots(data, manifests).split("animals/photo").listing

    return scan


def test_labels_in_another_order_than_the_folders_are_refused(listed):
    assert len(listed([1, 2, 3])) == 33
    with pytest.raises(DataError) as caught:
        listed([2, 3, 1])
    assert "photo_kfold.txt gives aardvark/0.jpg the label of 'lion' (n2), its folder is that of 'aardvark' (n10)" in (
        caught.value.message
    )
    assert "in 3 folders, labels and folders are in different orders" in caught.value.message


def test_labels_that_count_from_another_number_are_refused(listed):
    with pytest.raises(DataError, match="labels run from 2 to 4, lists counts classes from 1 to 3"):
        listed([2, 3, 4])


def test_a_folder_called_after_a_class_by_chance_is_said_and_taken(listed):
    listing = listed([1, 2, 3], ["aardvark", "lion", "aardvark/lion"])
    assert listing.labels.tolist().count(2) == 11
    assert notes(listing)["disagreeing"].count == 11
    assert notes(listing)["disagreeing"].examples == ("aardvark/lion/0.jpg",)


def test_folders_of_other_names_and_of_several_classes_say_nothing(listed, data, manifests):
    assert notes(listed([3, 2, 1], ["a", "b", "c"])) == {}
    assert notes(listed([3, 2, 1], ["lion", "b", "c"]))["disagreeing"].count == 11, "one folder alone is by chance"
    lines = [f"{folder}/{i}.jpg {i % 3 + 1}\n" for folder in ("lion", "b") for i in range(11)]
    (data / "lists/splits/photo_kfold.txt").write_text("".join(lines))
    assert notes(Roots(data, manifests).split("animals/photo").listing) == {}


def test_a_list_that_has_an_image_twice_is_said_or_refused_by_line(listed, data, manifests):
    listed([1, 2, 3])
    path = data / "lists/splits/photo_kfold.txt"
    text = path.read_text()
    path.write_text(text + "lion/0.jpg 2\n")
    listing = Roots(data, manifests).split("animals/photo").listing
    assert len(listing) == 33
    (note,) = listing.notes
    assert "lion/0.jpg (lists/splits/photo_kfold.txt:34 and lists/splits/photo_kfold.txt:12)" in str(note)
    path.write_text(text + "./lion/0.jpg 3\n")
    with pytest.raises(DataError, match=r"kfold.txt:34 has lion/0.jpg under another label than .*kfold.txt:12"):
        Roots(data, manifests).split("animals/photo")


def test_a_name_that_two_classes_fit_is_left_out_and_said(data, manifests):
    (manifests / "lists/animals.tsv").write_text("n10\tt-shirt\nn2\tT shirt\nn33\tsea_horse\n")
    registry.family.cache_clear()
    for folder in ("t_shirt", "T shirt", "sea_horse"):
        (data / "zoo/names/photo" / folder).mkdir(parents=True)
        (data / "zoo/names/photo" / folder / "a.jpg").write_bytes(b"x")
    listing = Roots(data, manifests).split("animals/photo").listing
    assert listing.labels.tolist() == [1, 2]
    assert notes(listing)["ambiguous"].examples == ("'t_shirt'",)


def test_the_names_in_a_parquet_file_are_those_of_the_class_list(data, manifests, animals):
    import pyarrow.parquet as pq

    build(data, animals, "hub-split")
    for path in (data / "hub-split").rglob("photo-*.parquet"):
        table = pq.read_table(path)
        for names, refused in ((["aardvark", "lion", "sea horse"], False), (["lion", "sea horse", "aardvark"], True)):
            features = {"labels": {"_type": "ClassLabel", "names": names}, "label": {"names": names}}
            about = {"huggingface": json.dumps({"info": {"features": features}})}
            pq.write_table(table.replace_schema_metadata(about), path)
            if refused:
                with pytest.raises(DataError, match=r"calls class 0 'lion', which is 'aardvark' \(n10\) here"):
                    Roots(data, manifests).split("animals/photo")
            else:
                assert len(Roots(data, manifests).split("animals/photo").listing) == 33
