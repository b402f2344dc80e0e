"""Aggregation against numbers worked out by hand, and what must not be averaged or ranked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from croftbench.errors import DataError
from croftbench.report import cells
from croftbench.report.tables import leaderboard, of_runs
from croftbench.runs import bundle, results
from croftbench.suites import manifest


def row_of(board, method="croft"):
    return board.table.set_index("method").loc[method]


def test_mean_and_deviation_over_seeds(add, tiny, tmp_path):
    suite = tiny()
    for seed, base in ((1, 0.5), (2, 0.6), (3, 0.85)):
        add(suite, seed, base)
    board = leaderboard(tmp_path, suite)
    row = row_of(board)
    expected = {
        "accuracy/id": 0.65,
        "accuracy/line art": 0.55,
        "accuracy/vintage": 0.55,
        "accuracy/covariate-mean": 0.55,
        "fpr95/near": 0.35,
        "fpr95/far": 0.35,
        "fpr95/semantic-mean": 0.35,
        "auroc/near": 0.65,
        "auroc/far": 0.65,
        "auroc/semantic-mean": 0.65,
        "auroc/covariate": 0.45,
        "fpr95_ood_positive/near": 0.9,
        "fpr95_ood_positive/far": 0.9,
        "fpr95_ood_positive/semantic-mean": 0.9,
        "ece/id": 0.325,
        "ece/covariate-mean": 0.425,
        "aurc/id": 0.1625,
        "aurc/covariate-mean": 0.2625,
        "ties/semantic-most": 0.02,
    }
    assert board.metrics == tuple(expected)
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    deviation = ((0.15**2 + 0.05**2 + 0.2**2) / 2) ** 0.5
    follow = {"ece": 1 / 2, "aurc": 1 / 4, "fpr95_ood_positive": 0, "ties": 0}  # how much of the base they follow
    for name in expected:
        assert row[f"{name}_std"] == pytest.approx(deviation * follow.get(name.split("/")[0], 1))
    assert row["ranked"]
    assert (row["runs"], row["runs_expected"], row["seeds"], row["folds"]) == (3, 3, 3, 1)
    assert (row["n/id"], row["n/line art"], row["n/near"], row["n/far"]) == (100, 100, 150, 60)
    assert board.note == ""


def test_range_over_seeds_and_interval_over_images(add, tiny, tmp_path):
    suite = tiny(folds=2, seeds=(1, 2))
    for seed, fold, base in ((1, "flat", 0.5), (1, "line art", 0.7), (2, "flat", 0.6), (2, "line art", 0.98)):
        add(suite, seed, base, fold=fold)
    row = row_of(leaderboard(tmp_path, suite))
    assert (row["accuracy/id_min"], row["accuracy/id_max"]) == pytest.approx((0.6, 0.79))  # seeds, not runs
    for name in ("accuracy/id", "accuracy/flat", "accuracy/covariate-mean", "fpr95/near", "auroc/semantic-mean"):
        interval = (row[name] - 0.01, row[name] + 0.01)  # each run's interval reaches .01 to both sides
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(interval)


def test_pareto_front_of_shift_accuracy_and_detection(add, tiny, tmp_path):
    suite = tiny(seeds=(1, 2))

    def put(method, accuracy, auroc, seeds=(1, 2)):
        for seed in seeds:
            add(suite, seed, 0.5, method=method)
            path = next((tmp_path / "runs").glob(f"tiny/{method}/*.json"))
            run = results.read(path)
            path.unlink()
            scores = [
                replace(score, value=accuracy)
                if score.shift == "covariate"
                else replace(score, value=auroc)
                if (score.metric, score.reference) == ("auroc", "ID")
                else score
                for score in run.scores
            ]
            results.write(tmp_path / "made", replace(run, scores=tuple(scores)))

    put("strong", 0.8, 0.6)
    put("balanced", 0.7, 0.7)
    put("dominated", 0.7, 0.65)
    put("detector", 0.3, 0.9)
    put("twin", 0.3, 0.9)
    put("incomplete", 0.9, 0.95, seeds=(1,))
    table = leaderboard(tmp_path / "made", suite).table.set_index("method")
    assert table.index[table["pareto"]].tolist() == ["strong", "balanced", "detector", "twin"]
    assert not table["ranked"]["incomplete"]


def test_folds_are_averaged_within_each_seed_first(add, tiny, tmp_path):
    suite = tiny(folds=2, seeds=(1, 2))
    for seed, fold, base in ((1, "flat", 0.5), (1, "line art", 0.7), (2, "flat", 0.6), (2, "line art", 1.0)):
        add(suite, seed, base, fold=fold, n_id=100 if fold == "flat" else 80)
    row = row_of(leaderboard(tmp_path, suite))
    assert row["accuracy/id"] == pytest.approx((0.6 + 0.8) / 2)
    assert row["accuracy/id_std"] == pytest.approx(0.2 / 2**0.5)  # not the deviation of four runs
    assert row["accuracy/flat"] == pytest.approx((0.4 + 0.5) / 2)  # only one fold has it
    assert row["accuracy/line art"] == pytest.approx((0.6 + 0.9) / 2)
    assert row["accuracy/covariate-mean"] == pytest.approx((0.5 + 0.7) / 2)
    assert row["accuracy/covariate-mean_std"] == pytest.approx(0.2 / 2**0.5)
    assert row["auroc/covariate"] == pytest.approx((0.4 + 0.6) / 2)
    assert (row["runs"], row["runs_expected"], row["ranked"]) == (4, 4, True)
    assert (row["n/id"], row["n/flat"], row["n/line art"], row["n/near"]) == (180, 100, 80, 300)


def test_rows_without_all_seeds_or_folds_come_last_unranked(add, tiny, tmp_path):
    suite = tiny(folds=2, seeds=(1, 2))
    for seed in (1, 2):
        for fold in ("flat", "line art"):
            add(suite, seed, 0.4, fold=fold, method="complete")
        add(suite, seed, 0.9, fold="flat", method="half")
    add(suite, 1, 0.8, fold="flat", method="almost")
    add(suite, 1, 0.8, fold="line art", method="almost")
    table = leaderboard(tmp_path, suite).table
    assert table["method"].tolist() == ["complete", "almost", "half"]
    assert table["ranked"].tolist() == [True, False, False]
    assert table["runs"].tolist() == [4, 2, 2]
    assert table["seeds"].tolist() == [2, 1, 2]
    assert table["folds"].tolist() == [2, 2, 1]
    assert pd.isna(table.loc[1, "accuracy/id_std"])


def test_order_is_by_mean_covariate_accuracy_then_name(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    for method, base in (("b", 0.5), ("a", 0.5), ("c", 0.9)):
        add(suite, 1, base, method=method)
    assert leaderboard(tmp_path, suite).table["method"].tolist() == ["c", "a", "b"]


def test_stale_digests_and_other_seeds_are_left_out_and_counted(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    add(suite, 9, 0.9)
    add(tiny(seeds=(1,), version=2), 1, 0.9)
    board = leaderboard(tmp_path, suite)
    assert row_of(board)["accuracy/id"] == 0.5
    assert (board.stale, board.extra) == (1, 1)
    assert "1 run on another digest of tiny left out" in board.note
    assert "Run them again" in board.note
    assert "other seeds than 1 left out" in board.note
    assert row_of(leaderboard(tmp_path, suite, seeds=(9,)))["accuracy/id"] == 0.9


def test_nothing_to_show_is_an_error_with_the_next_command(add, tiny, tmp_path):
    suite = tiny()
    with pytest.raises(DataError, match=r"no finished run of tiny.*run --method zero-shot,croft --suite tiny"):
        leaderboard(tmp_path, suite)
    add(tiny(version=2), 1, 0.5)
    with pytest.raises(DataError, match="1 on another digest"):
        leaderboard(tmp_path, suite)


@pytest.mark.parametrize(("field", "value"), [("precision", "float16"), ("transform", "resize72")])
def test_what_must_not_share_a_table(add, tiny, tmp_path, field, value):
    suite = tiny()
    add(suite, 1, 0.5)
    add(suite, 1, 0.5, method="coop", **{field: value})
    with pytest.raises(DataError, match=f"differ in {field} .*{value}"):
        leaderboard(tmp_path, suite)


def test_runs_of_two_digests_in_one_table_are_an_error(add, tiny, tmp_path):
    suite, changed = tiny(), tiny(version=2)
    add(suite, 1, 0.5)
    add(changed, 1, 0.5)
    runs = list(results.read_all(tmp_path))
    with pytest.raises(DataError, match=f"differ in suite_digest .*{changed.digest}"):
        of_runs(sorted(runs, key=lambda run: run.spec.suite_digest != suite.digest), suite, (1,))


def test_each_encoder_brings_its_own_transform(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    add(suite, 1, 0.7, encoder="ViT-B-16/openai", transform="resize224", weights_digest="v" * 64)
    table = leaderboard(tmp_path, suite).table
    assert table["encoder"].tolist() == ["ViT-B-16/openai", "emoji-clip/croftbench"]


def test_labels_say_what_differs(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.50)
    add(suite, 1, 0.51, params={"lambda2": 5, "epochs": 30})
    add(suite, 1, 0.52, method="coop", params={"epochs": 30, "variant": "x"})
    add(suite, 1, 0.53, method="mine", source="abcdef0")
    add(suite, 1, 0.54, method="mine", source="123456f", encoder="other/one")
    add(suite, 1, 0.55, method="zero", weights_digest="x" * 64)
    table = leaderboard(tmp_path, suite).table
    shown = ["zero", "mine, source=123456", "mine, source=abcdef", "coop", "croft, lambda2=5", "croft, lambda2=0.03"]
    assert table["method"].tolist() == shown
    ours = "emoji-clip/croftbench"
    assert table["encoder"].tolist() == [f"{ours} (xxxxxx)", "other/one"] + [f"{ours} (wwwwww)"] * 4
    assert table["params"].tolist()[-1] == '{"epochs":30,"lambda2":0.03}'
    assert table["params_digest"].nunique() == 3


def test_runs_without_the_headline_score_still_show(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    run = next(results.read_all(tmp_path))
    bare = replace(run, spec=replace(run.spec, method="bare"), scores=run.scores[:3])
    results.write(tmp_path, bare)
    row = row_of(leaderboard(tmp_path, suite), "bare")
    assert row["accuracy/id"] == 0.5
    assert pd.isna(row["auroc/near"])
    assert pd.isna(row["auroc/covariate"])


def test_a_board_without_any_detection_score_still_shows(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    run = next(results.read_all(tmp_path))
    board = of_runs([replace(run, scores=run.scores[:3])], suite, (1,))
    row = row_of(board)
    assert (row["accuracy/covariate-mean"], row["ranked"], row["pareto"]) == (0.4, True, False)
    assert pd.isna(row["auroc/semantic-mean"])
    assert pd.isna(row["n/near"])


def test_report_never_imports_torch():
    code = "import sys, croftbench.report.committed; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_row_with_imported_runs_says_so(made, tmp_path):
    for seed in (1, 2, 3):
        made(tmp_path / "theirs", "croft", seed)
        made(tmp_path / "ours", "zero-shot", seed)
    bundle.export(tmp_path / "theirs", list(results.read_all(tmp_path / "theirs")), tmp_path / "theirs.zip")
    bundle.import_runs(tmp_path / "ours", tmp_path / "theirs.zip")
    board = leaderboard(tmp_path / "ours", manifest.suite("emoji-open"))
    assert {line.method for line in cells.lines(board)} == {"croft (imported)", "zero-shot"}
