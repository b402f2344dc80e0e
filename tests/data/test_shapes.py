"""Folders more, folders less, other names, clutter, links: taken and said, or refused with what would settle it."""

import shutil

import pytest

from croftbench.data.roots import Roots
from croftbench.data.status import of_family
from croftbench.errors import DataError, ManifestError
from croftbench.suites import registry, toml
from tests.layouts import build, reduced
from tests.layouts.animals import same_as_built


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The registry with six classes of two images."""
    return reduced(tmp_path_factory.mktemp("registry") / "manifests")


def guess_of(roots, split):
    return next((str(note) for note in roots.split(split).listing.notes if note.what == "guess"), "")


def refusal(data, manifests, split="animals/photo"):
    with pytest.raises(DataError) as error:
        Roots(data, manifests).split(split)
    return error.value.message


def confirm(data, message):
    """Write what a message says that one may."""
    said = message.partition("in the data root: ")[2]
    (data / "croftbench.toml").write_text(said[: said.rindex("]") + 1])


def wrap(folder, name):
    """Put a folder's content into a folder of that name inside it."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.mkdir(parents=True)
    aside.rename(folder / name)


LAYOUTS = [
    pytest.param(name, i, id=f"{name}-{layout.name}-{layout.kind}")
    for name in toml.names("splits")
    for i, layout in enumerate(registry.family(name).layouts)
    if layout.kind != "package"
]


@pytest.mark.parametrize(("name", "position"), LAYOUTS)
def test_every_layout_is_found_below_further_folders_with_clutter_in_each(data, small, name, position):
    family = registry.family(name, small)
    layout = family.layouts[position]
    parts = [part.name for part in family.parts if layout.has(part.name)][:2]
    built = build(data / "sets/more", family, layout, parts)
    for folder in [data, *(path for path in data.rglob("*") if path.is_dir())]:
        for clutter in ("__MACOSX", ".ipynb_checkpoints", "@eaDir"):
            (folder / clutter).mkdir()
            (folder / clutter / "x.jpg").write_bytes(b"x")
        for clutter in ("Thumbs.db", ".DS_Store", "._x.jpg", "._0.tar", "._0.parquet"):
            (folder / clutter).write_bytes(b"x")
    roots = Roots(data, small)
    for part in built.parts:
        split = family.split_id(part)
        assert same_as_built(roots, built, split)
        assert "to confirm it, say so in croftbench.toml" in guess_of(roots, split)


@pytest.mark.parametrize(
    ("name", "layout", "inside"),
    [
        ("imagenet-v2", "archive", "imagenetv2-matched-frequency-format-val"),
        ("imagenet-v2", "coop", "v2"),
        ("dtd", "archive", "dtd-r1.0.1"),
        ("places", "mcm", "Places"),
        ("inaturalist", "mcm", "iNaturalist"),
        ("sun", "mcm", "SUN"),
        ("imagenet", "torchvision", "ILSVRC/Data/CLS-LOC"),
        ("imagenet", "flat-val", "ILSVRC/Data/CLS-LOC"),
        ("imagenet-a", "coop", "download"),
        ("pacs", "domainbed", "PACS"),
        ("food101", "coop", "food-101"),
        ("imagenet", "webdataset", "v1"),
    ],
)
def test_inside_the_archives_own_folder(data, small, name, layout, inside):
    family = registry.family(name, small)
    built = build(data, family, layout)
    first, *more = inside.split("/")
    for folder in reversed([first, *more]):
        wrap(built.at, folder)
    roots = Roots(data, small)
    for part in built.parts:
        assert same_as_built(roots, built, family.split_id(part))
    guessed = [one for one in of_family(roots, family) if one.guess]
    assert {one.split for one in guessed} == {family.split_id(part) for part in built.parts}


@pytest.mark.parametrize(("name", "layout"), [("pacs", "domainbed"), ("imagenet-v2", "archive"), ("places", "mcm")])
def test_the_data_root_is_the_data_set(data, small, name, layout):
    built = build(data, registry.family(name, small), layout)
    roots = Roots(built.at, small)
    family = registry.family(name, small)
    assert all(same_as_built(roots, built, family.split_id(part)) for part in built.parts)
    confirm(built.at, guess_of(roots, family.split_id(next(iter(built.parts)))))
    assert guess_of(Roots(built.at, small), family.split_id(next(iter(built.parts)))) == ""


def test_without_the_folder_of_the_images(data, small):
    for name, layout, folder in (
        ("places", "mcm", "images"),
        ("dtd", "archive", "images"),
        ("imagenet-r", "coop", "imagenet-r"),
    ):
        family = registry.family(name, small)
        built = build(data / name, family, layout)
        for path in list((built.at / folder).iterdir()):
            path.rename(built.at / path.name)
        (built.at / folder).rmdir()
        assert same_as_built(Roots(data / name, small), built, family.split_id(next(iter(built.parts))))


def test_images_of_the_validation_set_in_a_folder_of_its_archives_name(data, small):
    family = registry.family("imagenet", small)
    built = build(data, family, "flat-val")
    (built.at / "val").rename(built.at / "ILSVRC2012_img_val")
    assert same_as_built(Roots(data, small), built, "imagenet/val")


def test_lists_in_a_folder_of_their_own_beside_the_images_below_another_folder(data, small):
    family = registry.family("imagenet", small)
    built = build(data / "sets", family, "openood")
    for file in built.at.glob("*.txt"):
        target = data / "sets/benchmark_imglist/imagenet" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    assert same_as_built(Roots(data, small), built, "imagenet/openood-test")


def test_class_folders_one_level_deeper(data, manifests, animals):
    built = build(data, animals, "numbers")
    for folder in ("PHOTO/train", "PHOTO/test", "ART"):
        wrap(data / "numbers" / folder, "all")
    roots = Roots(data, manifests)
    assert same_as_built(roots, built, "animals/photo")
    assert same_as_built(roots, built, "animals/art")
    assert "numbers/ART/all, class folders by number" in guess_of(roots, "animals/art")


def called(data, animals, layout, names):
    """The photos in class folders of a layout, called by other names."""
    built = build(data, animals, layout, ["photo"])
    for old, new in names.items():
        (data / "ids/photo" / old).rename(data / "ids/photo" / new)
    return built


def test_class_folders_by_name_where_ids_are_expected(data, manifests, animals):
    built = called(data, animals, "ids", {"n10": "Aardvark", "n2": "lion", "n33": "sea-horse"})
    roots = Roots(data, manifests)
    assert same_as_built(roots, built, "animals/photo")
    assert "ids/photo, class folders by name" in guess_of(roots, "animals/photo")


def test_class_folders_by_number_as_another_layout_counts_them(data, manifests, animals):
    built = called(data, animals, "ids", {"n10": "0", "n2": "1", "n33": "2"})
    roots = Roots(data, manifests)
    assert same_as_built(roots, built, "animals/photo")
    assert "ids/photo, class folders by number" in guess_of(roots, "animals/photo")


def test_names_that_two_classes_share_are_refused_where_they_are_met(data):
    for name in ("tench", "goldfish", "great white shark"):
        (data / "imagenet/val" / name).mkdir(parents=True)
        (data / "imagenet/val" / name / "x.JPEG").write_bytes(b"x")
    assert Roots(data).split("imagenet/val").listing.labels.tolist() == [1, 2, 0]
    (data / "imagenet/val/missile").mkdir()
    assert "two classes are called 'missile'" in refusal(data, None, "imagenet/val")


def test_inside_a_folder_called_as_the_archive(data, small):
    built = build(data, registry.family("dtd", small), "archive")
    built.at.rename(data / "dtd-r1.0.1")
    assert same_as_built(Roots(data, small), built, "dtd/all")


def test_a_folder_of_a_flat_sets_name_is_taken_where_all_its_images_are_there(data, small):
    built = build(data / "x", registry.family("places", small), "mcm")
    for image in list((built.at / "images").iterdir()):
        image.rename(built.at / image.name)
    (built.at / "images").rmdir()
    assert same_as_built(Roots(data, small), built, "places")
    next(built.at.iterdir()).unlink()
    assert Roots(data, small).locate("places") is None


def test_class_folders_by_id_and_name_or_number_and_name(data, manifests, animals):
    built = called(data, animals, "ids", {"n10": "n10-aardvark", "n2": "002.Lion", "n33": "n33_sea_horse"})
    roots = Roots(data, manifests)
    assert same_as_built(roots, built, "animals/photo")
    guess = guess_of(roots, "animals/photo")
    assert '"002.Lion" = "n2"' in guess
    confirm(data, guess)
    assert same_as_built(Roots(data, manifests), built, "animals/photo")


def test_a_folder_whose_id_and_name_are_of_two_classes_is_none(data, manifests, animals):
    called(data, animals, "ids", {"n10": "n10-aardvark", "n2": "n2-aardvark", "n33": "n33-sea horse"})
    listing = Roots(data, manifests).split("animals/photo").listing
    assert set(listing.labels.tolist()) == {0, 2}
    assert "unknown-class" in [note.what for note in listing.notes]


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_that_no_layout_explains_are_refused_and_can_be_confirmed(data, small, first):
    family = registry.family("imagenet-10", small)
    built = build(data, family, "mcm", ["val"])
    ids = [family.ids[member] for member in family.part("val").members]
    for number, key in enumerate(ids, first):
        (data / "ImageNet10/val" / key).rename(data / "ImageNet10/val" / str(number))
    message = refusal(data, small, "imagenet-10/val")
    assert (
        f"class folders of ImageNet10/val are numbers, {first} to {len(ids) - 1 + first}, and nothing says" in message
    )
    confirm(data, message)
    assert same_as_built(Roots(data, small), built, "imagenet-10/val")


def test_numbers_that_start_one_later_than_the_layouts_are_refused_and_can_be_confirmed(data, small):
    family = registry.family("imagenet-v2", small)
    built = build(data, family, "archive")
    for folder in sorted(built.at.iterdir(), key=lambda path: -int(path.name)):
        folder.rename(folder.with_name(str(int(folder.name) + 1)))
    message = refusal(data, small, "imagenet-v2")
    assert "the class folders run from 1 to" in message
    confirm(data, message)
    assert same_as_built(Roots(data, small), built, "imagenet-v2")


def test_the_other_sets_of_imagenet_v2_are_not_taken_for_it(data, small):
    built = build(data, registry.family("imagenet-v2", small), "archive")
    for name in ("imagenetv2-top-images-format-val", "imagenetv2-threshold0.7-format-val"):
        for around in ("", "imagenet_v2", "ImageNetV2", "imagenetv2"):
            target = data / around / name
            target.parent.mkdir(exist_ok=True)
            shutil.copytree(built.at, target)
    shutil.rmtree(built.at)
    assert Roots(data, small).locate("imagenet-v2") is None


def test_two_places_that_would_do_are_both_named(data, manifests, animals):
    first = build(data / "a", animals, "ids", ["photo"])
    build(data / "b", animals, "ids", ["photo"])
    message = refusal(data, manifests)
    assert "a/ids/photo" in message
    assert "b/ids/photo" in message
    assert "nothing says which" in message
    confirm(data, message)
    roots = Roots(data, manifests)
    assert same_as_built(roots, first, "animals/photo")
    assert roots.split("animals/photo").listing.base == "a/ids/photo"
    (data / "croftbench.toml").unlink()
    shutil.rmtree(data / "a/ids/photo/n2")
    assert Roots(data, manifests).split("animals/photo").listing.base == "b/ids/photo", "the one that is whole"


def test_class_folders_of_an_unknown_part_are_pointed_out(data, small):
    built = build(data, registry.family("imagenet", small), "torchvision", ["train"])
    (built.at / "train").rename(built.at / "pictures")
    message = refusal(data, small, "imagenet/val")
    assert "imagenet/pictures holds class folders, and nothing says that they are val" in message
    assert "call it imagenet/val" in message


def test_a_folder_of_a_name_that_others_use_too_is_not_taken(data, small):
    build(data, registry.family("vlcs", small), "domainbed")
    build(data, registry.family("vlcs", small), "jigen")
    for name in ("sun", "caltech101"):
        states = {one.state for one in of_family(Roots(data, small), registry.family(name, small))}
        assert states == {"absent"}, name


def test_links_to_folders_work_and_links_to_each_other_end(data, manifests, animals):
    elsewhere = data.parent / "elsewhere"
    built = build(elsewhere, animals, "ids", ["photo"])
    (data / "ids/photo").mkdir(parents=True)
    for folder in (elsewhere / "ids/photo").iterdir():
        (data / "ids/photo" / folder.name).symlink_to(folder, target_is_directory=True)
    for one, other in (("a", "b"), ("b", "a")):
        (data / one).mkdir()
        (data / one / "to").symlink_to(f"../{other}", target_is_directory=True)
    assert same_as_built(Roots(data, manifests), built, "animals/photo")
    assert Roots(data, manifests).locate("animals/art") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[layouts]]\nfamily = "animal"\nname = "x"\nkind = "flat"\n',
            "croftbench.toml:2: there is no data set 'animal'",
        ),
        ('[[layouts]]\nfamily = "animals"\nname = "x"\nkind = "flat"\nat = ["../y"]\n', "leads out of the data root"),
        ('[[layouts]]\nfamily = "animals"\nname = "x"\nkind = "flat"\nwhere = "y"\n', "unknown key"),
    ],
)
def test_a_layout_of_ones_own_keeps_to_the_rules_of_manifests(data, manifests, text, message):
    (data / "croftbench.toml").write_text(text)
    with pytest.raises(ManifestError, match=message):
        Roots(data, manifests).locate("animals/photo")


def test_a_layout_of_ones_own_that_is_not_there_is_said_first(data, manifests, animals):
    build(data, animals, "coop")
    (data / "coop/split_zhou_Animals.json").unlink()
    (data / "croftbench.toml").write_text(
        '[[layouts]]\nfamily = "animals"\nname = "x"\nkind = "folders"\nat = ["mine"]\n'
    )
    assert "mine" not in refusal(data, manifests).partition(":")[0]
    (data / "mine").mkdir()
    assert "there is no folder mine/photo" in refusal(data, manifests)
