"""A registry of one family, and an empty data folder."""

import pytest

from croftbench.suites import registry
from tests.layouts.animals import ANIMALS, CLASSES


@pytest.fixture
def manifests(tmp_path):
    folder = tmp_path / "manifests"
    (folder / "splits").mkdir(parents=True)
    (folder / "lists").mkdir()
    (folder / "splits/animals.toml").write_text(ANIMALS)
    (folder / "lists/animals.tsv").write_text(CLASSES)
    return folder


@pytest.fixture
def animals(manifests):
    return registry.family("animals", manifests)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder
