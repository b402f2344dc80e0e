"""Every layout is found, read in a fixed order, labelled rightly, and left as it was."""

import os
import random
import shutil

import pytest

from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.data.scan.layouts import occurrences
from croftbench.data.scan.tree import Tree
from croftbench.errors import DataError, UsageError
from croftbench.suites import registry, toml
from tests.layouts import build, names_below, reduced
from tests.layouts.animals import ANIMALS, KINDS, same_as_built


@pytest.mark.parametrize("layout", KINDS)
def test_every_kind_of_layout_is_found_with_its_labels_and_its_bytes(data, manifests, animals, layout):
    built = build(data, animals, layout)
    before = list(names_below(data))
    roots = Roots(data, manifests)
    (occurrence,) = roots.occurrences("animals")
    assert occurrence.layout.name == layout
    assert set(occurrence.parts) == {"photo", "art"}
    for part in occurrence.parts:
        assert roots.split(f"animals/{part}").verdict.state == "complete"
        assert same_as_built(roots, built, f"animals/{part}")
    assert list(names_below(data)) == before


@pytest.mark.parametrize("layout", KINDS)
def test_the_order_is_the_same_on_every_machine(data, manifests, animals, layout):
    build(data, animals, layout)

    class Shuffled:
        """`os.scandir` on a file system of another mind."""

        def __init__(self, path):
            self.entries = list(os.scandir(path))
            random.Random(len(self.entries)).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            pass

    (here,) = occurrences(animals, Tree(data))
    (there,) = occurrences(animals, Tree(data, Shuffled))
    for part, listing in here.parts.items():
        assert listing.paths == there.parts[part].paths
        assert listing.labels.tolist() == there.parts[part].labels.tolist()
        assert listing.digest == there.parts[part].digest


def test_numbered_folders_mean_positions_and_are_read_in_the_order_of_numbers(data, tmp_path):
    folder = tmp_path / "many"
    (folder / "splits").mkdir(parents=True)
    (folder / "lists").mkdir()
    text = ANIMALS[: ANIMALS.index("[[parts]]")].replace("animals", "many")
    text += '[[parts]]\nname = "all"\nper_class = 1\n'
    text += '[[layouts]]\nname = "v2"\nkind = "folders"\nfolder = "."\nat = ["v2"]\nkey = "index"\n'
    (folder / "splits/many.toml").write_text(text)
    (folder / "lists/many.tsv").write_text("".join(f"n{1000 - i}\tname {i}\n" for i in range(120)))
    build(data, registry.family("many", folder), "v2")
    listing = Roots(data, folder).split("many").listing
    assert [path.split("/")[0] for path in listing.paths] == [str(i) for i in range(120)]
    assert listing.labels.tolist() == list(range(120))


def test_the_best_place_comes_first_and_each_part_is_taken_where_it_is_complete(data, manifests, animals):
    build(data, animals, "ids")
    build(data, animals, "names", ["photo"])
    build(data, animals, "coop")
    shutil.rmtree(data / "ids/photo/n2")
    (data / "coop/images/art/n2/art_00012.jpg").unlink()
    roots = Roots(data, manifests)
    assert {occurrence.layout.name for occurrence in roots.occurrences("animals")} == {"ids", "names", "coop"}
    assert roots.split("animals/photo").occurrence.layout.name in ("names", "coop")
    assert roots.split("animals/art").occurrence.layout.name == "ids"


def test_folders_are_met_in_any_case_and_with_spaces(data, manifests, animals):
    built = build(data, animals, "ids")
    (data / "ids").rename(data / "IDS")
    (data / "IDS/photo").rename(data / "IDS/PHOTO")
    roots = Roots(data, manifests)
    assert roots.split("animals/photo").paths[0].startswith("IDS/PHOTO/")
    assert roots.split("animals/art").paths[0].startswith("IDS/Art Paintings/")
    assert same_as_built(roots, built, "animals/photo")


def test_a_file_that_changes_changes_what_the_pool_is_known_by(data, manifests, animals):

    build(data, animals, "ids")
    roots = Roots(data, manifests)
    pool = Pool("animals/photo", "animals", roots.split("animals/photo").paths, "")
    before = roots.content(pool)
    assert Roots(data, manifests).content(pool) == before
    image = data / pool.paths[5]
    image.write_bytes(image.read_bytes() + b"x")
    assert roots.content(pool) != before
    image.unlink()
    with pytest.raises(DataError, match="croftbench data status"):
        roots.content(pool)


def test_nothing_is_found_on_an_empty_root_and_the_next_step_is_said(data, manifests):
    roots = Roots(data, manifests)
    assert roots.occurrences("animals") == []
    assert roots.locate("animals/photo") is None
    with pytest.raises(DataError, match="`croftbench data get animals/photo`"):
        roots.split("animals/photo")
    with pytest.raises(DataError, match="--data-root"):
        Roots(None, manifests).split("animals/photo")
    with pytest.raises(DataError, match="there is no data folder"):
        Roots(data / "nowhere", manifests)


def test_a_split_is_named_by_family_and_part(data, manifests):
    roots = Roots(data, manifests)
    with pytest.raises(UsageError, match="Did you mean 'photo'"):
        roots.split("animals/foto")
    with pytest.raises(UsageError, match="Did you mean 'animals'"):
        roots.split("animal/photo")
    with pytest.raises(UsageError, match="has 2 parts"):
        roots.split("animals")


def all_layouts():
    """(family, position of the layout) of everything that is on disks."""
    return [
        pytest.param(name, i, id=f"{name}-{layout.name}-{layout.kind}")
        for name in toml.names("splits")
        for i, layout in enumerate(registry.family(name).layouts)
        if layout.kind != "package"
    ]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The registry with six classes of two images."""
    return reduced(tmp_path_factory.mktemp("registry") / "manifests")


@pytest.mark.parametrize(("name", "position"), all_layouts())
def test_every_layout_of_the_registry_is_found_as_it_was_laid_out(data, small, name, position):
    family = registry.family(name, small)
    layout = family.layouts[position]
    some = [part.name for part in family.parts if layout.has(part.name)][:8]  # ImageNet-C has 95
    built = build(data, family, layout, some)
    before = list(names_below(data))
    roots = Roots(data, small)
    assert layout.name in [occurrence.layout.name for occurrence in roots.occurrences(name)]
    for part in built.parts:
        located = roots.split(family.split_id(part))
        assert located.verdict.state in ("complete", "uncounted"), (located.verdict, located.listing.notes)
        assert same_as_built(roots, built, family.split_id(part))
    assert list(names_below(data)) == before
