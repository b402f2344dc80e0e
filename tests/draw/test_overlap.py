"""An image that lists put into training and testing stops the run; validating on test images by protocol does not."""

import json

import pytest

from croftbench import draw
from croftbench.data.roots import Roots
from croftbench.errors import DataError
from croftbench.suites import manifest, registry
from tests.layouts import build
from tests.layouts.animals import ANIMALS, CLASSES

SUITE = """name = "zoo-official"
version = 1
title = "Animals by a published protocol"
templates = ["a {}."]

[protocol]
shots = 11
seeds = [1]
views = 1
crop_scale = [0.6, 1.0]
flip = true
scorers = ["msp"]
headline = "msp"

[val]
source = "test"

[[folds]]
name = "all"
train = ["animals/photo"]
id = ["animals/art"]
"""


@pytest.fixture
def drawn(tmp_path):
    """`drawn(change)`: the fold over a CoOp copy of the animals whose split file was changed so."""
    manifests, data = tmp_path / "manifests", tmp_path / "data"
    for folder in ("splits", "suites", "lists"):
        (manifests / folder).mkdir(parents=True)
    text = ANIMALS.replace('folder = "images/{part}"\nfile = "split', 'folder = "images"\nfile = "split')
    (manifests / "splits/animals.toml").write_text(text)
    (manifests / "lists/animals.tsv").write_text(CLASSES)
    (manifests / "suites/zoo-official.toml").write_text(SUITE)
    build(data, registry.family("animals", manifests), "coop")
    path = data / "coop/split_zhou_Animals.json"
    content = json.loads(path.read_text())

    def scan(change):
        change(content)
        path.write_text(json.dumps(content))
        (fold,) = draw.folds(manifest.suite("zoo-official", manifests), 1, roots=Roots(data, manifests))
        return fold

    return scan


def test_an_image_that_trains_and_tests_stops_the_run(drawn):
    fold = drawn(lambda content: None)
    assert len(fold.train) == len(fold.id) == len(fold.val) == 33

    def leak(content):
        content["art"][7] = content["photo"][7]

    with pytest.raises(DataError) as caught:
        drawn(leak)
    assert "fold 'all': 1 images of 'id' are in 'train' too, coop/images/n10/photo_00008.jpg first" in (
        caught.value.message
    )
    assert "croftbench data verify" in caught.value.hint
