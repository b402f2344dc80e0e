"""Rows of other, or of too few images: told apart, marked, and kept out of the ranking."""

from dataclasses import replace

import pytest

from croftbench.report import cells, populations, tables
from croftbench.report.rows import grouped
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec
from croftbench.suites import manifest


@pytest.fixture(scope="module")
def suite():
    return manifest.suite("emoji-open")


@pytest.fixture
def ran(suite):
    """`ran(method, images, state="complete", data="", ...)`: a run of every seed on such a copy of one split."""

    def runs(method, images, state="complete", data="", layout="folders", digest="d", created="2026-01-01T00:00"):
        spec = RunSpec(
            suite.name, suite.digest, "all", method, 1, "", {}, "e", "w", "t", suite.protocol.shots, 1, 1, data=data
        )
        copy = {"layout": layout, "digest": digest, "images": images, "state": state, "bytes": 10 * images}
        scores = (Score("id", "id", "accuracy", 0.5, 0.4, 0.6, images),)
        return [
            RunResult(replace(spec, seed=seed), scores, {"splits": {"set/test": copy}}, {}, created)
            for seed in suite.protocol.seeds
        ]

    return runs


def caveat(rows):
    return {row.method: row.caveat for row in rows}


def test_an_incomplete_copy_is_never_ranked(suite, ran):
    board = tables.of_runs([*ran("a", 100), *ran("b", 60, "incomplete")], suite, suite.protocol.seeds)
    shown = board.table.set_index("method")
    assert shown["ranked"].to_dict() == {"a": True, "b": False}
    assert shown.loc["b", "caveat"] == populations.INCOMPLETE
    text = "\n".join(cells.caption(board))
    assert "set/test: 100 images, 60 images (incomplete)" in text


def test_the_row_on_other_images_than_most_is_marked(ran):
    rows = grouped([*ran("a", 100), *ran("b", 100), *ran("c", 100, digest="other")])
    assert caveat(rows) == {"a": populations.NONE, "b": populations.NONE, "c": populations.OTHER}


def test_the_same_images_in_another_layout_are_the_same(ran):
    rows = grouped([*ran("a", 100), *ran("b", 100, layout="webdataset", digest="of shards")])
    assert caveat(rows) == {"a": populations.NONE, "b": populations.NONE}


def test_runs_without_a_record_of_their_images_have_no_caveat(ran):
    runs = [replace(run, env={}) for run in ran("a", 100)]
    assert caveat(grouped([*runs, *ran("b", 100)])) == {"a": populations.NONE, "b": populations.NONE}


def test_runs_from_before_and_after_a_change_are_two_rows(ran):
    before = ran("a", 60, "incomplete", data="old", created="2026-01-01T00:00")
    after = ran("a", 100, data="new", created="2026-02-01T00:00")
    rows = grouped([*before, *after])
    assert [len(row.runs) for row in rows] == [len(after), len(before)]
    assert [row.caveat for row in rows] == [populations.NONE, populations.INCOMPLETE]
    assert rows[0].method != rows[1].method, "the names tell them apart"


def test_the_images_are_part_of_a_run_s_identity(ran):
    plain, one, other = (ran("a", 100, data=data)[0].spec.run_id for data in ("", "one", "other"))
    assert len({plain, one, other}) == 3


def test_images_under_a_known_classes_name_are_said_below_the_table(suite, ran):
    runs = [
        replace(run, env={"namesakes": {"near": {"crane": 7}}} if run.spec.seed == 1 else {}) for run in ran("a", 9)
    ]
    (line,) = (text for text in cells.caption(tables.of_runs(runs, suite, suite.protocol.seeds)) if "Namesakes" in text)
    assert "0 to 7 images of near are of an unknown class with a known class's name (crane)" in line
    assert not any("Namesakes" in text for text in cells.caption(tables.of_runs(ran("a", 9), suite, (1, 2, 3))))
