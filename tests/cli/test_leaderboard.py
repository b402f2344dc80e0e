"""`croftbench leaderboard` and `croftbench reproduce`, in process, on made-up runs of a shipped suite."""

from __future__ import annotations

import csv
import io
import json
import sys

import pandas as pd
import pytest

from croftbench import plugins
from croftbench.cli import main
from croftbench.encoders.identity import Identity, open_clip_version, write
from croftbench.runs import results
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec
from croftbench.suites import manifest

SUITE = manifest.suite("emoji-open")
KINDS = manifest.suite("emoji-kinds")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for all tests: describing a method imports torch, once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def put(tmp_path, cache):
    """`put(method, base, seeds=..., suite=..., params=None, **fields)`: runs as `croftbench run` would leave them."""

    def write(method, base, seeds=SUITE.protocol.seeds, suite=SUITE, params=None, **fields):
        info = plugins.describe(method, cache)
        known = info.resolve(suite.recipes.get(method, {}), params or {})
        for seed in seeds:
            for fold in suite.folds:
                asked = {
                    "suite": suite.name, "suite_digest": suite.digest, "fold": fold.name, "method": method,
                    "method_version": info.version, "source": "", "params": known,
                    "encoder": "emoji-clip/croftbench", "weights_digest": "w" * 64, "transform": "resize64",
                    "shots": suite.protocol.shots, "seed": seed, "views": suite.protocol.views,
                }  # fmt: skip
                spec = RunSpec(**asked | fields)
                run = RunResult(spec, tuple(scores(suite, fold, base + seed / 100)), {}, {}, "2026-01-01T00:00:00Z")
                results.write(tmp_path, run)

    return write


def scores(suite, fold, base):
    def score(split, shift, metric, value, *rest):
        return Score(split, shift, metric, value, value - 0.05, value + 0.05, 100, *rest)

    yield score("ID", "id", "accuracy", base)
    for name in fold.covariate:
        yield score(name, "covariate", "accuracy", base - 0.1)
    for semantic in suite.semantic:
        yield score(semantic.name, "semantic", "fpr95", 1 - base, 50, "energy", "ID")
        yield score(semantic.name, "semantic", "auroc", base, 50, "energy", "ID")


@pytest.fixture
def call(tmp_path, cache, capsys, monkeypatch):
    """`call("leaderboard", ...)`: exit code, stdout and stderr of the command with the test's folders."""

    def run(verb, *arguments):
        folders = ["--results", str(tmp_path), *(["--cache", str(cache)] if verb == "reproduce" else [])]
        monkeypatch.setattr(sys, "argv", ["croftbench", verb, *arguments, *folders])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run


def one_line(err):
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


# ------------------------------------------------------------------------------------- leaderboard


def test_without_a_format_the_files_are_written(put, call, tmp_path):
    put("zero-shot", 0.5)
    code, out, err = call("leaderboard")
    assert code == 0
    assert "53.00" in out
    files = sorted(path.name for path in (tmp_path / "leaderboards").iterdir())
    assert files == [f"emoji-open{name}" for name in ("-scores.csv", "-scores.md", ".csv", ".md")]
    assert "Tables: " in err
    assert call("leaderboard", "--check")[0] == 0
    (tmp_path / "leaderboards" / "emoji-open.md").write_text("edited")
    code, out, err = call("leaderboard", "--check")
    assert (code, out) == (1, "")
    assert "emoji-open.md differ from what the runs derive" in one_line(err)


@pytest.mark.parametrize("form", ["rich", "csv", "md", "latex", "html", "json"])
def test_a_format_is_printed_and_no_file_written(put, call, tmp_path, form):
    put("zero-shot", 0.5)
    put("croft", 0.6, seeds=(1,))
    code, out, err = call("leaderboard", "emoji-open", "--format", form)
    assert (code, err) == (0, "")
    assert "zero-shot" in out
    assert ("1/5" in out) == (form not in ("csv", "json"))
    assert not (tmp_path / "leaderboards").exists()
    assert call("leaderboard", "emoji-open", "--format", form)[1] == out


def test_csv_is_tidy_or_wide(put, call):
    put("zero-shot", 0.5)
    put("zero-shot", 0.6, suite=KINDS, seeds=KINDS.protocol.seeds)
    tidy = pd.read_csv(io.StringIO(call("leaderboard", "--format", "csv")[1]), engine="pyarrow")
    assert tidy["suite"].unique().tolist() == ["emoji-kinds", "emoji-open"]
    row = tidy[(tidy["suite"] == "emoji-open") & (tidy["split"] == "id")].iloc[0]
    assert (row["value"], row["min"], row["max"]) == pytest.approx((0.53, 0.51, 0.55))
    wide = pd.read_csv(io.StringIO(call("leaderboard", "emoji-open", "--format", "csv", "--wide")[1]), engine="pyarrow")
    assert wide["accuracy/id"].tolist() == [row["value"]]
    content = json.loads(call("leaderboard", "--format", "json")[1])
    assert [board["suite"]["name"] for board in content["leaderboards"]] == ["emoji-kinds", "emoji-open"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--seeds", "1", "--all-seeds"), "Give one of them"),
        (("--check", "--latest"), "--check compares"),
        (("--format", "json", "--wide"), "--wide is a shape of the CSV"),
        (("--format", "csv", "--wide"), "one suite"),
        (("emoji-open", "--format", "csv", "--wide", "--reported"), "measured rows"),
        (("--check", "--format", "md"), "--check compares"),
        (("emoji-opn",), "Did you mean 'emoji-open'"),
    ],
)
def test_what_does_not_fit_together(put, call, arguments, complaint):
    put("zero-shot", 0.5)
    put("zero-shot", 0.6, suite=KINDS, seeds=KINDS.protocol.seeds)
    code, out, err = call("leaderboard", *arguments)
    assert (code, out) == (2, "")
    assert complaint in one_line(err)


def test_runs_of_two_precisions_are_an_error_in_every_format(put, call):
    put("zero-shot", 0.5)
    put("croft", 0.5, precision="float16")
    for form in ("csv", "latex", "json"):
        code, out, err = call("leaderboard", "emoji-open", "--format", form)
        assert (code, out) == (1, "")
        assert "differ in precision" in one_line(err)


def test_reported_rows_need_a_match(put, call):
    put("zero-shot", 0.5)
    code, out, err = call("leaderboard", "emoji-open", "--format", "md", "--reported")
    assert code == 0
    assert "No published row matches emoji-open" in err
    call("reproduce", "--record", "emoji-open")
    code, out, _ = call("leaderboard", "emoji-open", "--format", "md", "--reported")
    assert "| emoji-open/zero-shot |" in " ".join(out.split())
    assert "never ranked" in out


# ------------------------------------------------------------------------------------- reproduce


def test_recorded_rows_are_found_again(put, call, tmp_path):
    put("zero-shot", 0.5)
    put("zero-shot", 0.8, shots=9)  # not what `run` does by itself
    put("croft", 0.6, seeds=(1,))  # incomplete
    code, out, err = call("reproduce", "--record", "emoji-open")
    assert (code, out) == (0, "")
    assert "croftbench.csv: emoji-open/zero-shot." in err
    code, out, err = call("reproduce", "emoji-open/zero-shot")
    assert (code, err) == (0, "")
    assert "reproduced" in out
    assert "fail" not in out
    assert (tmp_path / "reported" / "croftbench.csv").read_bytes()
    assert "emoji-open/zero-shot" in call("reproduce")[1]


def change(path, **cells):
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | cells for row in rows)
    path.write_text(text.getvalue())


def test_numbers_outside_their_band_fail(put, call, tmp_path):
    put("zero-shot", 0.5)
    call("reproduce", "--record", "emoji-open")
    for path in (tmp_path / "runs").glob("*/*/*.json"):
        path.unlink()
    put("zero-shot", 0.506)
    code, out, err = call("reproduce", "emoji-open/zero-shot")
    assert code == 1
    assert "fail" in out
    assert "outside their band" in one_line(err)
    change(tmp_path / "reported" / "croftbench.csv", band="0.7")
    assert call("reproduce", "emoji-open/zero-shot")[0] == 0


def test_what_cannot_be_reproduced_says_why(put, call, tmp_path):
    put("zero-shot", 0.5)
    call("reproduce", "--record", "emoji-open")
    path = tmp_path / "reported" / "croftbench.csv"
    for cells, code, complaint in (
        ({"suite": "imagenet-later"}, 2, "needs suite 'imagenet-later', which this version lacks"),
        ({"suite": ""}, 2, "needs a suite that measures it"),
        ({"suite_digest": "0" * 12}, 1, "is of digest 000000000000 of emoji-open"),
        ({"suite_digest": "", "band": ""}, 1, "states no band"),
        ({"suite_digest": "", "method": "unheard-of"}, 2, "unknown method 'unheard-of'"),
        ({"provenance": "rumour"}, 1, f"{path}:2: provenance is 'rumour'"),
    ):
        change(path, **({"suite": "emoji-open", "band": "0.5", "method": "zero-shot"} | cells))
        found, out, err = call("reproduce", "emoji-open/zero-shot")
        assert (found, out) == (code, "")
        assert complaint in one_line(err)


def test_other_weights_are_found_before_anything_runs(put, call, tmp_path, cache):
    weights = tmp_path / "weights"
    weights.write_bytes(b"x")
    stat = weights.stat()
    write(
        Identity(
            "RN50/made-up", str(weights), stat.st_size, stat.st_mtime_ns, "a" * 64, "c" * 64, (64, 64), (0.5,), (0.5,),
            "bicubic", "squash", 8, 100.0, open_clip_version(),
        ),
        cache,
    )  # fmt: skip
    put("zero-shot", 0.5, encoder="RN50/made-up")
    call("reproduce", "--record", "emoji-open")
    assert call("reproduce", "emoji-open/zero-shot")[0] == 0
    for path in list((tmp_path / "runs").glob("*/*/*.json"))[1:]:
        path.unlink()
    code, out, err = call("reproduce", "emoji-open/zero-shot")
    assert (code, out) == (1, "")
    assert "with weights wwwwwwwwwwww, and those here are aaaaaaaaaaaa" in one_line(err)


def test_rows_of_local_files_are_not_recorded(put, call):
    put("zero-shot", 0.5, encoder="ViT-B-32@/somewhere/weights.pt")
    assert "no complete row" in one_line(call("reproduce", "--record", "emoji-open")[2])


def test_there_must_be_something_to_reproduce_or_record(put, call):
    code, _, err = call("reproduce")
    assert code == 1
    assert "no published rows" in one_line(err)
    code, _, err = call("reproduce", "--record", "emoji-open")
    assert code == 1
    assert "no complete row of emoji-open" in one_line(err)
    put("zero-shot", 0.5)
    put("zero-shot", 0.5, encoder="ViT-B-16/openai")
    assert "several encoders" in one_line(call("reproduce", "--record", "emoji-open")[2])
