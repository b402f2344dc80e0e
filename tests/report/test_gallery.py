"""The page's hard pictures: which they are, for whom, and that only what ships is shown; sections made side by side."""

from __future__ import annotations

import base64
import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from croftbench import draw
from croftbench.errors import DataError
from croftbench.report import abreast, board_rows, gallery, page, tables
from croftbench.runs import per_image
from croftbench.suites import manifest
from croftbench.suites.language import Suite

SEEDS = manifest.suite("emoji-open").protocol.seeds


@pytest.fixture
def measured(made, tmp_path):
    """A suite that ships, with three methods of unlike skill."""
    for method, skill, detection in (("croft", 0.8, 2.0), ("zero-shot", 0.5, 1.0), ("coop", 0.3, 0.2)):
        for seed in SEEDS:
            made(tmp_path, method, seed, skill, detection)
    return manifest.suite("emoji-open"), tmp_path


def groups(measured) -> tuple[Suite, gallery.Gallery]:
    suite, folder = measured
    return suite, gallery.of(suite, board_rows.collect(tables.leaderboard(folder, suite)))


def test_counts_are_those_of_the_per_image_tables(measured):
    """Restated image by image: in how many methods most of the runs that test a picture have it wrong."""
    suite, shown = groups(measured)
    _, folder = measured
    rows = board_rows.collect(tables.leaderboard(folder, suite))
    wrong: dict[tuple[str, str], Counter[str]] = {}
    runs: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        for run in row.runs:
            drawn = {split.name: split for _, split in draw.fold(suite, "all", run.spec.seed).tests}
            for table in per_image.read(per_image.path_of(folder, run.spec)):
                for i, image in enumerate(drawn[table.name].images):
                    runs.setdefault((table.name, image), Counter())[row.name] += 1
                    if table.labels[i] >= 0 and table.predicted[i] != table.labels[i]:
                        wrong.setdefault((table.name, image), Counter())[row.name] += 1
    assert [title for title, *_ in shown.groups] == [
        "Wrong for most", "Telling methods apart", "Unknown, and accepted by most"
    ]  # fmt: skip
    for _, verb, plates in shown.groups[:2]:
        assert verb == "wrong for" and 1 <= len(plates) <= gallery.SHOWN
        for plate in plates:
            place = (plate.split, plate.image)
            for_whom = {row.name for row in rows if 2 * wrong[place][row.name] > runs[place][row.name]}
            assert plate.count == len(for_whom)
            named = set(plate.methods.removeprefix("all but ").split("; "))
            everyone = {row.name for row in rows}
            if plate.methods == "all of them":
                assert for_whom == everyone
            else:
                assert (everyone - named if plate.methods.startswith("all but") else named) == for_whom


def test_pictures_are_small_and_of_those_images_only(measured):
    _, shown = groups(measured)
    plates = [plate for *_, plates in shown.groups for plate in plates]
    for plate in plates:
        data = base64.b64decode(plate.picture.removeprefix("data:image/webp;base64,"))
        assert len(data) < 4_000
        with Image.open(io.BytesIO(data)) as image:
            assert max(image.size) <= gallery.SIDE
        assert plate.image.partition("/")[0] in ("emoji", "digits")
    assert "Apache-2.0" in shown.credit


def test_images_that_are_not_here_are_not_shown(measured, monkeypatch):
    """A family that does not ship: names only. Other images than the runs': nothing, and why."""
    monkeypatch.setattr(gallery, "_ships", lambda table, roots: False)
    _, shown = groups(measured)
    assert all(not plate.picture and plate.image for *_, plates in shown.groups for plate in plates)
    assert shown.credit == ""
    monkeypatch.setattr(gallery, "_same", lambda labels, images, table: False)
    _, shown = groups(measured)
    assert not shown.groups and "not those of the runs" in shown.absent


def test_a_page_made_side_by_side_is_the_same(measured):
    suite, folder = measured
    alone, beside = (abreast.sections(folder, [suite, suite], processors=count) for count in (1, 2))
    assert alone == beside
    assert all("<svg" in one.html and "<dialog" in one.html for one in beside)


def test_what_fails_in_another_process_fails_here(measured):
    suite, folder = measured
    table = next(folder.rglob("*.parquet"))
    table.write_bytes(b"x" + table.read_bytes())
    for suites in ([suite], [suite, suite]):
        with pytest.raises(DataError, match="digest"):
            page.render(folder, suites)


def test_a_lone_method_has_no_gallery(made, tmp_path):
    for seed in SEEDS:
        made(tmp_path, "croft", seed)
    _, shown = groups((manifest.suite("emoji-open"), tmp_path))
    assert not shown.groups and "two ranked methods" in shown.absent


def test_unknown_pictures_are_those_above_the_threshold(measured):
    suite, shown = groups(measured)
    _, folder = measured
    rows = board_rows.collect(tables.leaderboard(folder, suite))
    plate = shown.groups[2][2][0]
    accepted = 0
    for row in rows:
        votes = []
        for run in row.runs:
            split = next(s for _, s in draw.fold(suite, "all", run.spec.seed).tests if s.name == plate.split)
            there = {table.name: table for table in per_image.read(per_image.path_of(folder, run.spec))}
            own = np.sort(there["id"].scores["energy"])
            cut = own[len(own) - int(np.ceil(0.95 * len(own) - 1e-9))]
            if plate.image in split.images:
                votes.append(there[plate.split].scores["energy"][split.images.index(plate.image)] >= cut)
        accepted += 2 * sum(votes) > len(votes)
    assert accepted == plate.count
