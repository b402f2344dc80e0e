"""Lists, split files and class lists as other systems write them: no line is lost, or it is said which and why."""

import codecs
import io
import json
import os
import tarfile
import unicodedata

import pytest

from croftbench.data.roots import Roots
from croftbench.errors import DataError, ManifestError
from croftbench.suites import lists, registry
from tests.layouts import build
from tests.layouts.animals import ANIMALS, CLASSES, same_as_built

ENCODED = {
    "mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "windows": lambda text: text.replace("\n", "\r\n").encode(),
    "old-mac": lambda text: text.replace("\n", "\r").encode(),
    "blanks": lambda text: text.replace("\n", "  \n").encode(),
    "spreadsheet": lambda text: codecs.BOM_UTF16_LE + text.replace("\n", "\r\n").encode("utf-16-le"),
    "comment": lambda text: text.encode() + b"# the end\n\n",
}
FILES = {
    "lists": "lists/splits/photo_kfold.txt",
    "basenames": "lists of base/photo.csv",
    "positions": "positions/photo.txt",
    "stems": "stems/photo/trainval.txt",
    "coop": "coop/split_zhou_Animals.json",
}


@pytest.mark.parametrize("encoded", ENCODED)
@pytest.mark.parametrize("layout", FILES)
def test_every_list_is_read_alike_however_it_was_written(data, manifests, animals, layout, encoded):
    if (layout, encoded) == ("coop", "comment"):
        pytest.skip("JSON has no comments")
    built = build(data, animals, layout)
    path = data / FILES[layout]
    path.write_bytes(ENCODED[encoded](path.read_text()))
    classes = manifests / "lists/animals.tsv"
    classes.write_bytes(ENCODED[encoded](classes.read_text()))
    manifest = manifests / "splits/animals.toml"
    manifest.write_bytes(ENCODED[encoded](manifest.read_text()))
    registry.family.cache_clear()
    roots = Roots(data, manifests)
    assert registry.family("animals", manifests).classnames == ("aardvark", "lion", "sea_horse")
    assert roots.split("animals/photo").verdict.state == "complete"
    assert same_as_built(roots, built, "animals/photo")
    assert roots.split("animals/photo").listing.notes == ()


@pytest.mark.parametrize(
    ("layout", "data_of", "says"),
    [
        ("lists", lambda text: text.encode() + b"caf\xe9.jpg 1\n", r"kfold.txt:34: 'caf\\xe9.jpg' is no UTF-8"),
        ("lists", lambda text: text.encode("utf-16-le"), r"kfold.txt:1: a NUL byte.*UTF-16"),
        ("positions", lambda text: text.encode("utf-16-le"), r"photo.txt:1: a NUL byte"),
        ("coop", lambda text: text.replace("lion", "é").encode("latin-1"), r"json:1: byte 0xe9 is no UTF-8"),
        ("coop", lambda text: text[:-20].encode(), r"Animals.json:1: not valid JSON"),
        ("coop", lambda text: text.replace('"art": [', '"photo": [').encode(), "key 'photo' is there twice"),
        ("lists", lambda text: (text + "photo_00001.jpg\n").encode(), r"kfold.txt:34: 'photo_00001.jpg' has no label"),
        ("lists", lambda text: (text + "a b.jpg x\n").encode(), r"kfold.txt:34: 'a b.jpg x' has no label"),
        ("basenames", lambda text: (text + "x.jpg\n").encode(), r"photo.csv:35: 1 cells, 2 in line 1"),
        ("basenames", lambda text: (text + '"x.jpg,1\n').encode(), r"photo.csv:35: quotes that do not close"),
        ("coop", lambda text: text.replace(", 0, ", ", 0.5, ", 1).encode(), r"photo\[0\] is .*0.5.*, no \[path"),
        ("coop", lambda text: text.replace(", 0, ", ", true, ", 1).encode(), r"photo\[0\] is "),
        ("coop", lambda text: text.replace(', 0, "aardvark"]', ", 0]", 1).encode(), r"photo\[0\] is "),
        ("coop", lambda text: b"[1, 2]", "holds no object of lists"),
        ("coop", lambda text: text.replace(".jpg", "\\ud800.jpg", 1).encode(), r"photo\[0\]: .* is no UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_for_certain_is_refused_by_file_and_line(data, manifests, animals, layout, data_of, says):
    build(data, animals, layout)
    path = data / FILES[layout]
    path.write_bytes(data_of(path.read_text()))
    with pytest.raises(DataError, match=says):
        Roots(data, manifests).split("animals/photo")


def listed(data, manifests, key, text, paths, csv=False):
    """The animals' photos at `paths` with a list: what the listing holds, and what was noted."""
    ending = "csv" if csv else "txt"
    changed = ANIMALS.replace(
        'file = "splits/{part}_kfold.txt"\nkey = "index"\nfirst = 1', f'file = "{{part}}.{ending}"\nkey = "{key}"'
    )
    assert changed != ANIMALS
    (manifests / "splits/animals.toml").write_text(changed)
    registry.family.cache_clear()
    for path in paths:
        (data / "lists" / path).parent.mkdir(parents=True, exist_ok=True)
        (data / "lists" / path).write_bytes(path.encode())
    (data / f"lists/photo.{ending}").write_text(text)
    listing = Roots(data, manifests).split("animals/photo").listing
    return list(zip(listing.paths, listing.labels.tolist(), strict=True)), [note.what for note in listing.notes]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("index", "my dir/a 1.jpg 1\nb.jpg 2\n"),
        ("index", "my dir/a 1.jpg\t1\nb.jpg\t2\n"),
        ("index", "my dir\\a 1.jpg 1\r\n.\\b.jpg 2\r\n"),
        ("index", '"my dir/a 1.jpg" 1\nb.jpg 2.0\n'),
        ("name", "my dir/a 1.jpg lion\nb.jpg sea horse\n"),
        ("name", "my dir/a 1.jpg  Lion  \n# b.jpg is no lion\nb.jpg\tsea horse\n"),
        ("name", '"my dir/a 1.jpg" lion\nb.jpg sea_horse\n'),
        ("id", "my dir/a 1.jpg n2\nb.jpg n33\n"),
    ],
)
def test_paths_and_names_may_hold_blanks_and_windows_separators(data, manifests, key, text):
    taken, notes = listed(data, manifests, key, text, ["my dir/a 1.jpg", "b.jpg"])
    assert taken == [("my dir/a 1.jpg", 1), ("b.jpg", 2)]
    assert set(notes) <= {"missing-class", "renamed"}


@pytest.mark.parametrize(
    "text",
    [
        'path,label\n"a, b.jpg",1\nc.jpg,2\n',
        '"a, b.jpg",1\nc.jpg,2\n',  # no header: its first line is an image
        "path;label\na, b.jpg;1\nc.jpg;2\n",
        'sep=;\npath;label\n"a, b.jpg";1\nc.jpg;2\n;\n',
        "path\tlabel\tsource\na, b.jpg\t1\there\nc.jpg\t2\tthere\n",
    ],
)
def test_a_csv_is_read_whatever_separates_it_with_or_without_a_header(data, manifests, text):
    assert listed(data, manifests, "index", text, ["a, b.jpg", "c.jpg"], csv=True)[0] == [("a, b.jpg", 1), ("c.jpg", 2)]


def test_an_image_may_be_called_like_a_comment_and_after_an_image(data, manifests):
    paths = ["#1.jpg", "x.jpg dir/y.jpg"]
    assert listed(data, manifests, "name", "#1.jpg lion\nx.jpg dir/y.jpg lion\n#2.jpg lion\n", paths)[0] == [
        ("#1.jpg", 1), ("x.jpg dir/y.jpg", 1),
    ]  # fmt: skip


def test_accents_are_composed_in_either_way(data, manifests):
    composed = unicodedata.normalize("NFC", "café/été.jpg")
    apart = unicodedata.normalize("NFD", composed)
    assert listed(data, manifests, "index", f"{composed} 1\n", [apart])[0] == [(apart, 1)]


def test_names_that_are_no_utf8_on_the_disk_are_found_by_their_bytes(data, manifests):
    (data / "lists").mkdir()
    (data / "lists" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    listed(data, manifests, "index", "b.jpg 2\n", ["b.jpg"])
    (data / "lists/photo.txt").write_bytes(b"caf\xe9.jpg 1\nb.jpg 2\n")
    assert Roots(data, manifests).split("animals/photo").listing.labels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("animals.tsv", "n10\taardvark\nn2\tcrane, bird\nn33\tbird's nest\n"),
        ("animals.tsv", 'n10\taardvark\t\nn2\t"crane, bird"\nn33\tbird\'s nest\n'),
        ("animals.csv", 'n10,aardvark\nn2,"crane, bird"\nn33,bird\'s nest\n'),
        ("animals.csv", "n10;aardvark;\nn2;crane, bird;\nn33;bird's nest;\n"),
    ],
)
def test_class_names_may_hold_commas_and_apostrophes(manifests, file, text):
    (manifests / "lists" / file).write_text(text)
    path = manifests / "splits/animals.toml"
    path.write_text(ANIMALS.replace("animals.tsv", file).replace('aliases = { "Big Cats" = "n2" }\n', ""))
    registry.family.cache_clear()
    assert registry.family("animals", manifests).classnames == ("aardvark", "crane, bird", "bird's nest")


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (CLASSES.replace("n33\tsea_horse", "n33 sea_horse"), "animals.tsv:3: 'n33 sea_horse' is no 'id<TAB>name'"),
        (CLASSES.replace("n33", "n10"), "animals.tsv:3: 'n10' is in line 1 already"),
        (CLASSES.replace("aardvark", "a\tb"), "animals.tsv:1: 'n10 a b' is no 'id<TAB>name'"),
        (CLASSES.replace("lion", '"lion'), "animals.tsv:2: quotes that do not close"),
    ],
)
def test_a_broken_class_list_is_refused_by_file_and_line(manifests, classes, says):
    (manifests / "lists/animals.tsv").write_text(classes)
    registry.family.cache_clear()
    with pytest.raises(ManifestError) as caught:
        registry.family("animals", manifests)
    assert says in caught.value.message


def test_lists_that_name_a_class_twice_or_one_that_there_is_not_are_refused(manifests):
    (manifests / "lists/some.txt").write_text("n2\nn10\nn2\n")
    with pytest.raises(ManifestError, match=r"some.txt:3: 'n2' is in line 1 already"):
        lists.ids("some.txt", manifests)
    (manifests / "lists/order.txt").write_text("n2\nn10\nn4\n")
    path = manifests / "splits/animals.toml"
    path.write_text(ANIMALS.replace('key = "index"', 'key = "index"\norder = "order.txt"', 1))
    registry.family.cache_clear()
    with pytest.raises(ManifestError, match=r"order.txt:3: 'n4' is no class of animals"):
        registry.family("animals", manifests)


def test_a_label_of_a_shard_may_have_a_mark_and_a_windows_line_end(data, manifests, animals):
    build(data, animals, "shards")
    shard = next(data.rglob("photo/0.tar"), None) or next(path for path in data.rglob("0.tar") if "photo" in str(path))
    for label, says in (("\ufeff2\r\n", ""), ("1\r\n", "has labels 0 .* and 1|has labels 2 .* and 1")):
        with tarfile.open(shard, "w") as tar:
            for name, content in (
                ("a.jpg", b"x"),
                ("a.json", json.dumps({"label": 2}).encode()),
                ("a.cls", label.encode()),
            ):
                header = tarfile.TarInfo(name)
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
        roots = Roots(data, manifests)
        if says:
            with pytest.raises(DataError, match=says):
                roots.split("animals/photo")
        else:
            located = roots.split("animals/photo")
            assert (
                dict(zip(located.listing.paths, located.listing.labels.tolist(), strict=True))["photo/0.tar#a.jpg"] == 2
            )
