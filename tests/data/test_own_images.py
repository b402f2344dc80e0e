"""From a folder of images to a suite: what is there is seen, what cannot be seen is told, nothing is lost."""

import io
import json
import shutil
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import croftbench
from croftbench import draw
from croftbench.api.reading import suite_of
from croftbench.errors import DataError, UsageError
from croftbench.locations import Folders
from tests.layouts.pictures import picture

BIRDS, OTHERS = ("barn_owl", "robin", "wren"), ("lawn", "truck")


def fill(folder, classes, count, domain=0):
    """Class folders with pictures, no two alike."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            number = hash((str(folder), i)) % 4096
            (folder / name / f"{i:02d}.png").write_bytes(picture("png", label, domain, number))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drawn(folder, **told):
    """The first fold of the suite over a folder, by name of role, and what was said."""
    made = croftbench.new_suite(folder, force=True, **told)
    suite = croftbench.load_suite(made.path)
    folders = Folders.of().behind(suite)
    folds = draw.folds(suite, 1, roots=folders.roots)
    return suite, folds, " ".join(made.said)


def sizes(fold):
    """Role or name of each test split -> images."""
    return {"train": len(fold.train)} | {split.name: len(split) for _, split in fold.tests}


def test_splits_with_class_folders_new_classes_and_a_shift(here):
    fill(here / "birds/train", BIRDS, 4)
    fill(here / "birds/test", BIRDS, 3)
    fill(here / "birds/new", OTHERS, 2)
    fill(here / "birds/night", BIRDS[:2], 2)
    suite, (fold,), said = drawn(here / "birds")
    assert fold.classnames == ("barn owl", "robin", "wren")
    assert sizes(fold) == {"train": 6, "id": 9, "night": 4, "new": 4}
    assert len(fold.val) == 6
    assert "'night' shows 2 known classes: a covariate shift" in said
    assert (suite.name, suite.protocol.shots) == ("birds", 2)


def test_class_folders_alone_are_shared_out_and_it_is_said(here):
    fill(here / "birds", BIRDS, 10)
    _, (fold,), said = drawn(here / "birds")
    assert sizes(fold) == {"train": 6, "id": 12}
    trained, tested = ({split.pool.paths[row] for row in split.rows} for split in (fold.train, fold.id))
    assert not trained & tested
    assert "60% of each class train" in said


def test_classes_named_as_unknown_are_never_trained(here):
    fill(here / "birds/train", BIRDS, 4)
    fill(here / "birds/test", BIRDS, 3)
    _, (fold,), _ = drawn(here / "birds", unknown=["wren"])
    assert fold.classnames == ("barn owl", "robin")
    assert sizes(fold) == {"train": 4, "id": 6, "unknown": 3}
    with pytest.raises(UsageError, match="Did you mean 'wren'"):
        croftbench.describe_folder(here / "birds", unknown=["wern"])


def test_folders_elsewhere_are_taken_for_what_they_are_said_to_be(here):
    fill(here / "birds/train", BIRDS, 4)
    fill(here / "birds/val", BIRDS, 3)
    fill(here / "sketches", BIRDS[1:], 2)
    fill(here / "textures/a", OTHERS, 2)
    _, (fold,), said = drawn(here / "birds", unknown=[str(here / "textures")], shifts={"sketch": here / "sketches"})
    assert sizes(fold) == {"train": 6, "id": 9, "sketch": 4, "textures": 4}
    assert "There is no test folder: 'val' tests" in said
    with pytest.raises(DataError, match="none of the known classes"):
        croftbench.describe_folder(here / "birds", shifts={"art": here / "textures/a"})


def test_a_folder_of_test_images_makes_a_suite_that_trains_nothing(here):
    fill(here / "birds/test", BIRDS, 3)
    fill(here / "birds/val", BIRDS, 2)
    fill(here / "birds/night", BIRDS[:2], 2)
    fill(here / "birds/new", OTHERS, 2)
    suite, (fold,), said = drawn(here / "birds")
    assert (suite.trains, fold.domains, fold.val) == (False, (), None)
    assert fold.classnames == ("barn owl", "robin", "wren")
    assert sizes(fold) == {"train": 0, "id": 9, "night": 4, "new": 4}
    assert "No image trains" in said
    assert "'val' is left out: 6 images" in said
    shutil.rmtree(here / "birds/val")
    suite, (fold,), said = drawn(here / "birds", train=True)
    assert sizes(fold) == {"train": 3, "id": 3, "night": 4, "new": 4}
    assert "60% of each class train" in said


def test_images_of_any_layout_can_be_kept_from_training(here):
    fill(here / "birds", BIRDS, 1)
    _, (fold,), _ = drawn(here / "birds", train=False, unknown=["wren"])
    assert fold.classnames == ("barn owl", "robin")
    assert sizes(fold) == {"train": 0, "id": 2, "unknown": 1}
    fill(here / "parted/train", BIRDS, 4)
    fill(here / "parted/test", BIRDS, 3)
    _, (fold,), said = drawn(here / "parted", train=False)
    assert sizes(fold) == {"train": 0, "id": 9}
    assert "'train' is left out: 12 images" in said
    for i, domain in enumerate(("art", "photo", "sketch")):
        fill(here / "things" / domain, BIRDS, 2, i)
    _, (fold,), _ = drawn(here / "things", train=False, shifts={"drawn": "sketch"})
    assert sizes(fold) == {"train": 0, "id": 12, "drawn": 6}


def test_domains_are_left_out_one_by_one_or_one_is_named(here):
    for i, domain in enumerate(("art", "photo", "sketch")):
        fill(here / "things" / domain, BIRDS, 5, i)
    _, folds, said = drawn(here / "things")
    assert [fold.name for fold in folds] == ["art", "photo", "sketch"]
    assert sizes(folds[0]) == {"train": 12, "id": 6, "art": 15}
    assert "3 domains" in said
    _, (fold,), _ = drawn(here / "things", shifts={"drawn": "sketch"})
    assert (fold.domains, sizes(fold)["drawn"]) == (("art", "photo"), 15)


def test_images_without_classes_are_unknown_ones(here):
    fill(here / "birds/train", BIRDS, 4)
    fill(here / "birds/test", BIRDS, 3)
    fill(here / "x", ("stray",), 3)
    (here / "x/stray").rename(here / "birds/stray")
    _, (fold,), said = drawn(here / "birds")
    assert sizes(fold) == {"train": 6, "id": 9, "stray": 3}
    assert "taken for unknown" in said


def test_a_list_of_path_and_label(here):
    fill(here / "shop/pics", BIRDS, 4)
    rows = [f"pics/{name}/{i:02d}.png,{label},x" for label, name in enumerate(BIRDS) for i in range(4)]
    (here / "shop/all.csv").write_text("path,label,note\n" + "\n".join(rows) + "\n")
    (here / "shop/classes.txt").write_text("owl\nrobin\nwren\n")
    _, (fold,), said = drawn(here / "shop/all.csv")
    assert fold.classnames == ("owl", "robin", "wren")
    assert sizes(fold) == {"train": 3, "id": 6}
    assert "a list" in said


def webdataset(folder, count):
    """As the clip-benchmark's data sets on the hub: tar shards for each split, and the classes and prompts beside."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for shard in range(2):
            with tarfile.open(folder / split / f"{shard}.tar", "w") as tar:
                for i in range(count):
                    number = shard * count + i
                    data = picture("png", number % 3, split == "test", number)
                    for ending, content in (("png", data), ("cls", str(number % 3).encode())):
                        member = tarfile.TarInfo(f"s{number:07d}.{ending}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
        (folder / split / "nshards.txt").write_text("2")
    (folder / "classnames.txt").write_text("owl\nrobin\nwren\n")
    (folder / "zeroshot_classification_templates.txt").write_text("a drawing of a {c}.\na {c}.\n")


def parquet(folder, count):
    """As `datasets` writes to the hub."""
    (folder / "data").mkdir(parents=True)
    feature = {
        "info": {"features": {"image": {"_type": "Image"}, "label": {"names": list(BIRDS), "_type": "ClassLabel"}}}
    }
    for split in ("train", "test"):
        images = [{"bytes": picture("png", i % 3, split == "test", i), "path": f"{i}.png"} for i in range(count)]
        table = pa.table({"image": images, "label": [i % 3 for i in range(count)]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
        pq.write_table(table, folder / f"data/{split}-00000-of-00001.parquet")


def hub(home, repo, make, count):
    """A snapshot in the hub's cache, with its files as links, as the hub's client leaves it."""
    cached = home / f"datasets--{repo.replace('/', '--')}"
    snapshot = cached / "snapshots" / ("a" * 40)
    make(snapshot, count)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("a" * 40)
    (cached / "blobs").mkdir()
    for i, path in enumerate(sorted(one for one in snapshot.rglob("*") if one.is_file())):
        blob = cached / "blobs" / f"{i:040d}"
        path.rename(blob)
        path.symlink_to(blob)
    return cached


@pytest.mark.parametrize("make", [webdataset, parquet])
def test_shards_of_the_hub_on_disk_and_by_their_address(here, monkeypatch, make):
    cached = hub(here / "hub", "clip-benchmark/wds_birds", make, 12)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(here / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = []
    for folder in (cached, "hf://datasets/clip-benchmark/wds_birds"):
        suite, (fold,), _ = drawn(folder)
        found.append((fold.classnames, sizes(fold), suite.templates))
    assert found[0] == found[1]
    classnames, counts, templates = found[0]
    assert counts["id"] == (24 if make is webdataset else 12)
    assert classnames == (("owl", "robin", "wren") if make is webdataset else ("barn owl", "robin", "wren"))
    assert templates == (("a drawing of a {}.", "a {}.") if make is webdataset else ("a photo of a {}.",))
    with pytest.raises(DataError, match="cannot fetch hf://datasets/clip-benchmark/wds_gone"):
        croftbench.describe_folder("hf://datasets/clip-benchmark/wds_gone")


def test_what_cannot_be_read_is_refused_with_the_next_step(here):
    with pytest.raises(DataError, match="there is no folder"):
        croftbench.describe_folder(here / "gone")
    (here / "flat").mkdir()
    (here / "flat/1.png").write_bytes(picture("png", 0))
    with pytest.raises(DataError, match="holds no images in class folders"):
        croftbench.describe_folder(here / "flat")
    for domain in ("art", "photo"):
        fill(here / "deep/train" / domain, BIRDS, 1)
        fill(here / "deep/test" / domain, BIRDS, 1)
    with pytest.raises(DataError, match="a level more than can be read"):
        croftbench.describe_folder(here / "deep")


def test_a_file_that_is_there_is_never_replaced_unasked(here):
    fill(here / "birds", BIRDS, 4)
    (here / "birds.toml").write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        croftbench.new_suite(here / "birds")
    assert (here / "birds.toml").read_text() == "mine"
    assert croftbench.new_suite(here / "birds", "other.toml").path.name == "other.toml"
    assert suite_of("other.toml", Folders.of()).name == "other"


def test_a_table_with_a_column_of_splits_is_read_by_it(here):
    """Each row plays the role that its column says; a split of other classes is unknown."""
    rows = []
    for part, classes, count in (("train", BIRDS, 4), ("val", BIRDS, 2), ("test", BIRDS, 3), ("new", OTHERS, 2)):
        fill(here / "birds" / part, classes, count)
        rows += [f"{part}/{name}/{i:02d}.png,{name},{part}" for name in classes for i in range(count)]
    (here / "table").mkdir()
    (here / "table/birds.csv").write_text("\n".join(["path,label,split", *sorted(rows, key=lambda row: row[::-1])]))
    for part in ("train", "val", "test", "new"):
        (here / "birds" / part).rename(here / "table" / part)
    _, (fold,), said = drawn(here / "table/birds.csv")
    assert sizes(fold) == {"train": 6, "id": 9, "new": 4}
    assert len(fold.val) == 6
    for split, part in ((fold.train, "train"), (fold.val, "val"), (fold.id, "test"), (fold.semantic[0], "new")):
        assert {split.pool.paths[row].split("/")[0] for row in split.rows} == {part}
    assert "train (12 images of 3 classes)" in said
    text = (here / "table/birds.csv").read_text()
    (here / "table/birds.csv").write_text(text.replace(",train", ",a train"))
    with pytest.raises(DataError, match="split 'a train'"):
        croftbench.describe_folder(here / "table/birds.csv")
