"""Pictures: what they say, that it is the leaderboard's numbers, and that they never change by themselves."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from croftbench.errors import DataError, UsageError
from croftbench.report import board_rows, plots, style, subset, typed
from croftbench.report.tables import leaderboard
from croftbench.runs import per_image
from croftbench.stats import calibration, metrics

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def filled(measure, tiny, tmp_path):
    """CRoFT at two numbers of shots and zero-shot, three seeds each."""
    suite = tiny()
    for seed in (1, 2, 3):
        measure(suite, seed, 1.5)
        measure(suite, seed, 2.0, shots=6)
        measure(suite, seed, 0.5, method="zero-shot", params={})
    return suite, tmp_path


def picture(folder, suite, kind, *methods):
    board = leaderboard(folder, suite)
    rows = board_rows.collect(board)
    shown = subset.only(board, typed.choose(board.rows, methods))
    return plots.draw(kind, shown, board_rows.collect(shown)), board, rows


def words(folder, suite, kind, *methods):
    """All text of the SVG, a line an element; it must be well-formed."""
    drawn, _, _ = picture(folder, suite, kind, *methods)
    tree = ElementTree.fromstring(style.write(drawn, "svg"))
    return [re.sub(r"\s+", " ", "".join(node.itertext())).strip() for node in tree.iter(f"{SVG}text")]


def area(y, x):
    """By trapezia; numpy has two names for it."""
    return float(np.diff(x) @ (np.asarray(y)[1:] + np.asarray(y)[:-1]) / 2)


@pytest.mark.parametrize("kind", plots.KINDS)
def test_the_same_runs_give_the_same_bytes_in_every_format(filled, kind):
    suite, folder = filled
    for form, magic in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        first, second = (style.write(picture(folder, suite, kind)[0], form) for _ in range(2))
        assert first == second
        assert first.startswith(magic)
        assert not re.search(rb"20\d\d-\d\d-\d\d|[Vv]ersion \d", first)  # no date, nobody's version


@pytest.mark.parametrize("kind", plots.KINDS)
def test_every_picture_says_whose_it_is_and_of_how_many_images(filled, kind):
    suite, folder = filled
    text = " ".join(words(folder, suite, kind))
    assert "Suite tiny" in text
    assert "seeds 1, 2, 3" in text
    if kind != "roc":
        assert (
            "Images a seed: ID 100; covariate shift: line art 100, vintage 100; semantic shift: near 150, far 60"
            in text
        )
    figure = picture(folder, suite, kind)[0].figure
    axes = figure.axes
    assert figure.get_supxlabel() or all(each.get_xlabel() for each in axes)
    assert figure.get_supylabel() or any(each.get_ylabel() for each in axes)


def test_energy_shows_each_population_with_its_size(filled):
    suite, folder = filled
    text = words(folder, suite, "energy", "zero-shot")
    for label in ("ID (n = 300)", "covariate shift (n = 600)", "semantic shift (n = 630)"):
        assert label in text
    assert "zero-shot" in text
    assert not any("croft" in line for line in text)


def test_density_integrates_to_one_and_peaks_where_the_scores_are():
    scores = np.random.default_rng(0).normal(3, 0.5, 2000)
    grid = np.linspace(0, 6, 121)
    curve = style.density(scores, grid)
    assert area(curve, grid) == pytest.approx(1, abs=1e-3)
    assert grid[curve.argmax()] == pytest.approx(3, abs=0.2)
    assert np.isfinite(style.density(np.full(10, 3.0), grid)).all()  # all alike: no spread to go by


def test_roc_passes_through_the_leaderboard_s_fpr95_and_names_its_auroc(filled):
    suite, folder = filled
    drawn, board, rows = picture(folder, suite, "roc", "zero-shot")
    row = board.table.set_index("method").loc["zero-shot"]
    near, far = drawn.figure.axes
    for axes, name in ((near, "near"), (far, "far")):
        curve, marker = axes.get_lines()[:2]
        x, y = curve.get_xdata(), curve.get_ydata()
        assert np.interp(0.95, y, x) == pytest.approx(row[f"fpr95/{name}"], abs=1e-12)
        assert marker.get_xdata()[0] == pytest.approx(row[f"fpr95/{name}"], abs=1e-12)
        assert marker.get_ydata()[0] == 0.95
        assert (np.diff(x) >= 0).all()
        assert area(y, x) == pytest.approx(row[f"auroc/{name}"], abs=0.01)
        assert f"{row[f'auroc/{name}']:.3f}" in curve.get_label()
    assert near.get_title("left") == "near (n = 150)"
    assert far.get_xlabel() == "share of far images accepted (FPR)"
    splits = {split.name: split for split in rows[-1].tables[0]}
    thresholds = metrics.threshold_at_tpr(splits["ID"].scores["energy"], plots.TPR)
    one = plots._fpr(thresholds, splits["far"].scores["energy"].astype(float))
    at = int(np.argmin(abs(plots.TPR - 0.9)))
    assert one[at] == metrics.fpr_at_tpr(splits["ID"].scores["energy"], splits["far"].scores["energy"], 0.9).value


def test_pareto_puts_the_leaderboard_s_rows_and_intervals(filled):
    suite, folder = filled
    drawn, board, _ = picture(folder, suite, "pareto")
    (axes,) = drawn.figure.axes
    assert len(axes.containers) == 3
    for container, (_, row) in zip(axes.containers, board.table.iterrows(), strict=True):
        line, _, (horizontal, vertical) = container
        assert (line.get_xdata()[0], line.get_ydata()[0]) == (
            row["auroc/semantic-mean"],
            row["accuracy/covariate-mean"],
        )
        for bar, axis, name in ((horizontal, 0, "auroc/semantic-mean"), (vertical, 1, "accuracy/covariate-mean")):
            ends = bar.get_segments()[0][:, axis]
            assert ends == pytest.approx([row[f"{name}_low"], row[f"{name}_high"]])
    assert "Pareto front" in words(folder, suite, "pareto")


def test_rows_that_are_not_ranked_are_hollow_and_say_so(filled, measure):
    suite, folder = filled
    measure(suite, 1, 2.5, method="coop")
    assert "coop, 3 shots (1/3 runs)" in words(folder, suite, "pareto")
    (axes,) = picture(folder, suite, "pareto")[0].figure.axes
    assert axes.containers[-1][0].get_markerfacecolor() == "white"


def test_shots_joins_the_rows_of_one_method(filled):
    suite, folder = filled
    drawn, board, _ = picture(folder, suite, "shots")
    accuracy, _ = drawn.figure.axes
    croft = next(c for c in accuracy.containers if c.get_label() == "croft")[0]
    rows = board.table[board.table["method"] == "croft"].sort_values("shots")
    assert croft.get_ydata().tolist() == rows["accuracy/covariate-mean"].tolist()
    assert [text.get_text() for text in accuracy.get_xticklabels()] == ["3", "6"]


def test_shots_without_several_is_an_error_with_the_next_command(filled):
    suite, folder = filled
    with pytest.raises(UsageError, match=r"no method has runs of several shots on tiny.*--shots 6"):
        picture(folder, suite, "shots", "zero-shot")


def test_calibration_shows_the_numbers_of_the_library(filled):
    suite, folder = filled
    _, _, rows = picture(folder, suite, "calibration", "zero-shot")
    row = rows[-1]
    text = words(folder, suite, "calibration", "zero-shot")
    sure = {shift: calibration.probability(row.scores("msp", shift)) for shift in ("id", "covariate")}
    ece = [calibration.ece(confidence, row.correct(shift)).value for shift, confidence in sure.items()]
    areas = []
    for splits in row.tables:
        scores = np.concatenate([split.scores["energy"] for split in splits])
        areas.append(calibration.aurc(scores, np.concatenate([split.correct for split in splits])).value)
    for value in (*ece, np.mean(areas)):
        assert any(line.startswith("zero-shot: ") and f"{value:.3f}" in line for line in text)
    for title in ("Reliability, ID (n = 300)", "Selection, all (n = 1,530)"):
        assert title in text


def test_lines_can_be_told_apart_without_colour(filled):
    suite, folder = filled
    axes = picture(folder, suite, "roc")[0].figure.axes[0]
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) > 100]
    assert len({str(line._dash_pattern) for line in curves}) == 3
    patches = picture(folder, suite, "energy", "zero-shot")[0].figure.axes[0].collections
    assert len({patch.get_hatch() for patch in patches}) == 3


def test_rows_without_images_are_left_out_and_named(filled):
    suite, folder = filled
    _, _, rows = picture(folder, suite, "energy")
    for row in rows:
        if row.spec.method == "croft":
            per_image.path_of(folder, row.runs[0].spec).unlink()
    text = " ".join(words(folder, suite, "roc"))
    assert "Left out, for want of per-image tables: croft, 6 shots; croft, 3 shots." in text
    with pytest.raises(DataError, match=r"no run of tiny has a per-image table.*croftbench run"):
        picture(folder, suite, "energy", "croft")
    assert len(picture(folder, suite, "pareto")[0].figure.axes[0].containers) == 3  # needs no images


def test_names_from_outside_are_text(measure, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    name = "_$x_2$<script>alert(1)<script>&"
    measure(suite, 1, method=name)
    measure(suite, 1, 0.5, method="zero-shot")
    for kind in ("energy", "roc", "pareto", "calibration"):
        drawn, _, _ = picture(tmp_path, suite, kind)
        svg = style.write(drawn, "svg").decode()
        assert "<script" not in svg
        assert any(name[:20] in line for line in words(tmp_path, suite, kind))  # whole, not as mathematics


def test_folds_are_pooled(measure, tiny, tmp_path):
    suite = tiny(folds=2, seeds=(1, 2))
    for seed in (1, 2):
        for fold in ("flat", "line art"):
            measure(suite, seed, fold=fold)
    text = words(tmp_path, suite, "energy")
    assert "ID (n = 400)" in text
    assert "seeds 1, 2 and 2 folds" in " ".join(text)


def test_misspelt_kinds_and_methods_get_a_guess(filled):
    suite, folder = filled
    with pytest.raises(UsageError, match="Did you mean 'pareto'"):
        picture(folder, suite, "paretto")
    with pytest.raises(UsageError, match="Did you mean 'zero-shot'"):
        picture(folder, suite, "roc", "zeroshot")


def test_a_file_is_written_or_the_error_is_clear(filled):
    suite, folder = filled
    drawn, again = (picture(folder, suite, "pareto")[0] for _ in range(2))
    style.save(drawn, folder / "new" / "a.svg")
    assert (folder / "new" / "a.svg").read_bytes() == style.write(again, "svg")
    with pytest.raises(DataError, match="cannot write"):
        style.save(drawn, folder / "new" / "a.svg" / "b.png")


def test_nothing_is_drawn_with_before_it_is_needed():
    code = "import sys, croftbench.report.plots, croftbench.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_picture_and_caption_marks_rows_with_fewer_runs(filled, measure):
    suite, folder = filled
    measure(suite, 1, 2.5, method="coop", shots=6)
    measure(suite, 1, 2.5, method="coop")
    for kind in plots.KINDS:
        drawn, _, _ = picture(folder, suite, kind)
        assert "Fewer runs than the others, hollow and not ranked: coop, " in drawn.caption
        if kind != "shots":  # where a line joins rows that lack runs and others, its points are hollow
            assert any("coop, 3 shots (1/3 runs)" in line for line in words(folder, suite, kind)), kind


@pytest.mark.parametrize("kind", plots.KINDS)
def test_a_picture_has_one_legend_that_shows_a_row_by_more_than_its_hue(filled, kind):
    suite, folder = filled
    figure = picture(folder, suite, kind)[0].figure
    assert len(figure.legends) == 1
    assert not any(axes.get_legend() for axes in figure.axes)
    if kind != "energy":
        looks = {(line.get_linestyle(), line.get_marker()) for line in figure.legends[0].get_lines()}
        assert len(looks) == len(figure.legends[0].get_lines())


@pytest.mark.parametrize("columns", style.PAPERS)
def test_a_picture_for_a_paper_is_as_wide_as_its_columns_and_nothing_is_cut(filled, columns):
    suite, folder = filled
    board = leaderboard(folder, suite)
    for kind in plots.KINDS:
        figure = plots.draw(kind, board, board_rows.collect(board), style.PAPERS[columns]).figure
        figure.canvas.draw() if hasattr(figure.canvas, "draw") else None
        width, height = figure.get_size_inches()
        assert width == style.PAPERS[columns].width
        box = figure.legends[0].get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        assert box.x0 >= -0.01
        assert box.x1 <= width + 0.01
        assert box.y1 <= height + 0.01


def test_labels_are_whole_or_cut_where_they_are_alike():
    names = [f"a-method-with-a-name-of-many-letters, first=1, second=2, third={i}, fourth={10 * i}" for i in range(3)]
    shown = style.labels([*names, "croft", "_mine"])
    assert len(set(shown)) == 5
    assert all(len(label) <= 46 for label in shown)
    for i, label in enumerate(shown[:3]):
        assert f"{i}, fourth={10 * i}" in label
    assert shown[3:] == ["croft", " _mine"]
    alike = style.labels(["x" * 200, "x" * 200 + "y"])
    assert len(set(alike)) == 2


@pytest.mark.parametrize("kind", plots.KINDS)
def test_a_suite_without_covariate_shift_has_every_picture(measure, tiny, tmp_path, kind):
    suite = tiny(seeds=(1,))
    suite = dataclasses.replace(suite, folds=(dataclasses.replace(suite.folds[0], covariate={}),))
    measure(suite, 1)
    measure(suite, 1, shots=6)
    text = words(tmp_path, suite, kind)
    assert "ID" in " ".join(text)
    assert "nan" not in " ".join(text)
