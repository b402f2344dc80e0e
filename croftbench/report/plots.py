"""Pictures of a suite: score densities, ROC curves, the accuracy-detection plane, curves over shots, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from croftbench.errors import DataError, UsageError, unknown
from croftbench.report.board_rows import BoardRow
from croftbench.report.cells import images
from croftbench.report.columns import DETECTION, MEAN
from croftbench.report.rows import marked
from croftbench.report.style import (
    HUES,
    SCREEN,
    Paper,
    Picture,
    Vector,
    dash,
    density,
    handle,
    hue,
    labels,
    legend_above,
    mark,
    panels,
    style,
)
from croftbench.report.tables import Board
from croftbench.runs.per_image import SplitTable
from croftbench.stats import calibration, metrics

TPR = np.arange(1, 200) / 200  # .95 among them as that very number, so that its FPR is the leaderboard's
COVERAGE = np.linspace(0.02, 1, 99)
SHIFTS = (
    ("id", "ID", "-", "", HUES[0]),
    ("covariate", "covariate shift", "--", "////", HUES[2]),
    ("semantic", "semantic shift", "-.", "....", HUES[1]),
)


def draw(kind: str, board: Board, rows: Sequence[BoardRow], paper: Paper = SCREEN) -> Picture:
    """Draw one kind of picture of these rows.

    Raises:
        UsageError: an unknown kind, or one that these runs have no data for.
        DataError: none of the runs has a per-image table, or lacks the score that the picture needs.
    """
    if kind not in KINDS:
        raise unknown("kind of plot", kind, KINDS)
    with style(paper):
        return KINDS[kind](board, rows, paper)


def _energy(board: Board, rows: Sequence[BoardRow], paper: Paper) -> Picture:
    shown, left_out = _with_images(board, rows)
    scorer = board.suite.protocol.headline
    size = (3.3, 2.1) if len(shown) > 1 else (5.5, 2.7)
    figure, plane = panels(len(shown), 3, size, paper, ["x" * 30] * (len(SHIFTS) + 1))
    counts: dict[str, set[int]] = {}
    for axes, row, name in zip(plane, shown, labels([row.label for row in shown]), strict=True):
        pooled = [row.scores(scorer, shift) for shift, *_ in SHIFTS]
        low, high = np.quantile(np.concatenate(pooled), [0.001, 0.999])
        grid = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 121)
        for (_, label, line, hatch, colour), values in zip(SHIFTS, pooled, strict=True):
            if not len(values):  # a suite may lack a kind of shift
                continue
            counts.setdefault(label, set()).add(len(values))
            curve = density(values, grid)
            axes.plot(grid, curve, line, color=colour, lw=1.6, label=label)
            axes.fill_between(grid, curve, color=colour, alpha=0.15, lw=0)
            if hatch:  # of its own, as SVG knows no hatch over a translucent face
                axes.fill_between(grid, curve, facecolor="none", edgecolor=colour, alpha=0.5, hatch=hatch, lw=0)
        threshold = float(metrics.threshold_at_tpr(pooled[0]))
        axes.axvline(threshold, color="0.25", lw=1, ls=(0, (1, 1)), label="95% of ID is not left of this")
        axes.set(title=name, yticks=[])
        axes.locator_params("x", nbins=5)
        axes.set_ylim(0)
    figure.supxlabel(f"{scorer} score (higher = more ID)", fontsize="medium")
    figure.supylabel("density", fontsize="medium")
    handles, said = plane[0].get_legend_handles_labels()
    said = [f"{label} (n = {_range(counts[label])})" if label in counts else label for label in said]
    legend_above(figure, handles, said, "", paper)
    return Picture(
        figure,
        f"{board.suite.name}: {scorer} scores under no, covariate and semantic shift",
        f"Suite {board.suite.name}. Densities of the {scorer} score over test images, pooled over {_runs(board)}; an "
        f"image counts once in each run that tests it. {_populations(board)} Gaussian kernel.{left_out}"
        f"{_lacking(shown)}",
    )


def _roc(board: Board, rows: Sequence[BoardRow], paper: Paper) -> Picture:
    shown, left_out = _with_images(board, rows)
    scorer, unknowns = board.suite.protocol.headline, [split.name for split in board.suite.semantic]
    if not unknowns:
        raise UsageError(f"{board.suite.name} has no semantic shift, and so no ROC curve.", "Try another kind of plot.")
    names = labels([row.label for row in shown])
    figure, plane = panels(len(unknowns), 2, (4.4, 3.9), paper, [name + "x" * 7 * len(unknowns) for name in names])
    values: list[list[float]] = [[] for _ in shown]
    thresholds = [[metrics.threshold_at_tpr(_scores(t, "id", scorer), TPR) for t in row.tables] for row in shown]
    for axes, unknown_set in zip(plane, unknowns, strict=True):
        for i, row in enumerate(shown):
            pairs = [(at, _scores(t, unknown_set, scorer)) for at, t in zip(thresholds[i], row.tables, strict=True)]
            x = np.mean([_fpr(*pair) for pair in pairs], axis=0)
            values[i].append(row.values[f"auroc/{unknown_set}"])
            look: dict[str, Any] = {"color": hue(i), "ls": dash(i), "lw": 1.5}
            axes.plot([0, *x, 1], [0, *TPR, 1], label=f"{names[i]}: {values[i][-1]:.3f}", **look)
            axes.plot(np.interp(0.95, TPR, x), 0.95, mark(i), color=hue(i), ms=6)
        axes.axhline(0.95, color="0.4", lw=0.8, ls=":")
        axes.annotate("95% of ID", (0.005, 0.955), va="bottom", fontsize=7 * paper.small, color="0.3")
        axes.set(xlim=(0, 1), ylim=(0, 1.03), title=f"{unknown_set} (n = {images(board, unknown_set)})")
        axes.set(
            xlabel=f"share of {unknown_set} images accepted (FPR)",
            ylabel=f"share of ID accepted (n = {images(board, 'id')})",
        )
    said = [f"{name}: {', '.join(f'{value:.3f}' for value in of)}" for name, of in zip(names, values, strict=True)]
    legend_above(figure, _handles(shown), said, f"AUROC: {', '.join(unknowns)}", paper)
    return Picture(
        figure,
        f"{board.suite.name}: ROC curves",
        f"Suite {board.suite.name}, score {scorer}; ID is positive. Curves and AUROC are means over {_runs(board)}, "
        f"curves at equal share of ID accepted; markers are FPR95. n: images a seed.{left_out}{_lacking(shown)}",
    )


def _pareto(board: Board, rows: Sequence[BoardRow], paper: Paper) -> Picture:
    points = [row for row in rows if not np.isnan([row.values[MEAN], row.values[DETECTION]]).any()]
    names = labels([row.label for row in points])
    figure, (axes,) = panels(1, 1, (6.6, 4.2), paper, [*names, "Pareto front"])
    for i, row in enumerate(points):
        x, y = row.values[DETECTION], row.values[MEAN]
        errors = [
            [[value - row.values[f"{metric}_low"]], [row.values[f"{metric}_high"] - value]]
            for metric, value in ((DETECTION, x), (MEAN, y))
        ]
        axes.errorbar(
            x, y, xerr=errors[0], yerr=errors[1], fmt=mark(i), color=hue(i), ms=8 * paper.small, lw=1, capsize=2,
            mfc=hue(i) if row.values["ranked"] else "white", label=names[i],
        )  # fmt: skip
    handles = _handles(points, line=False)
    front = sorted((row.values[DETECTION], row.values[MEAN]) for row in points if row.values["pareto"])
    if front:  # a staircase: what lies left of and below it is beaten in both
        limits = axes.get_xlim(), axes.get_ylim()
        corners = [(limits[0][0], front[0][1]), *front, (front[-1][0], limits[1][0])]
        x, y = zip(*corners, strict=True)
        handles += axes.step(x, y, where="pre", color="0.35", lw=1, ls="--", zorder=0, label="Pareto front")
        names = [*names, "Pareto front"]
        axes.set(xlim=limits[0], ylim=limits[1])
    axes.set(xlabel=f"mean AUROC over semantic shifts ({board.suite.protocol.headline} score)")
    axes.set(ylabel="mean accuracy over covariate shifts")
    legend_above(figure, handles, names, "", paper)
    return Picture(
        figure,
        f"{board.suite.name}: accuracy under covariate shift against detection of semantic shift",
        f"Suite {board.suite.name}. Up and right is better. Means over {_runs(board)}; bars: 95% intervals over test "
        f"images; the front is of the ranked rows shown. {_populations(board)}{_lacking(points)}",
    )


def _shots(board: Board, rows: Sequence[BoardRow], paper: Paper) -> Picture:
    lines: dict[tuple[str, str], list[BoardRow]] = {}
    for row in rows:
        lines.setdefault((marked(row.values["method"], row.values), row.values["encoder"]), []).append(row)
    if all(len(line) < 2 for line in lines.values()):
        method = next((name for name in ("croft", *(row.spec.method for row in rows)) if name != "zero-shot"), "croft")
        raise UsageError(
            f"no method has runs of several shots on {board.suite.name}.",
            f"`croftbench run --suite {board.suite.name} --method {method} --shots {2 * board.suite.protocol.shots}`",
        )
    several = len({encoder for _, encoder in lines}) > 1
    names = labels([f"{method}, {encoder}" if several else method for method, encoder in lines])
    figure, plane = panels(2, 2, (4.4, 3.3), paper, names)
    for axes, metric in zip(plane, (MEAN, DETECTION), strict=True):
        for i, line in enumerate(lines.values()):
            values = sorted((row.values for row in line), key=lambda of: int(of["shots"]))
            value, low, high = (np.array([of[metric + part] for of in values]) for part in ("", "_low", "_high"))
            shots = [of["shots"] * 1.02 ** (i - len(lines) // 2) for of in values]  # apart, so that bars can be told
            axes.errorbar(
                shots, value, [value - low, high - value], color=hue(i), ls=dash(i), marker=mark(i), ms=6, lw=1.5,
                elinewidth=0.8, capsize=2, label=names[i],
            )  # fmt: skip
            for of, x, y in zip(values, shots, value, strict=True):
                if not of["ranked"]:
                    axes.plot(x, y, mark(i), color=hue(i), ms=6, mfc="white")
        ticks = sorted({int(row.values["shots"]) for row in rows})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("training images a class (shots)")
    plane[0].set_ylabel("mean accuracy over covariate shifts")
    plane[1].set_ylabel("mean AUROC over semantic shifts")
    legend_above(figure, [handle(i) for i in range(len(names))], names, "", paper)
    return Picture(
        figure,
        f"{board.suite.name}: by number of shots",
        f"Suite {board.suite.name}. Means over {_runs(board)}; bars: 95% intervals over test images. "
        f"{_populations(board)}{_lacking(rows)}",
    )


def _calibration(board: Board, rows: Sequence[BoardRow], paper: Paper) -> Picture:
    shown, left_out = _with_images(board, rows, "msp")
    scorer = board.suite.protocol.headline
    names = labels([row.label for row in shown])
    known = [one for one in SHIFTS[:2] if all(len(row.correct(one[0])) for row in shown)]
    count = len(known) + 1
    figure, plane = panels(count, count, (3.5, 3.3), paper, [name + "x" * 21 for name in names])
    values: list[list[float]] = [[] for _ in shown]
    for axes, (shift, label, *_) in zip(plane[:-1], known, strict=True):
        axes.plot([0, 1], [0, 1], color="0.6", lw=0.8)
        for i, row in enumerate(shown):
            confidence = calibration.probability(row.scores("msp", shift))  # the score is its log-odds
            bins = calibration.reliability(confidence, row.correct(shift))
            values[i].append(bins.gap)
            look = {"color": hue(i), "ls": dash(i), "marker": mark(i)}
            axes.plot(bins.confidence, bins.accuracy, lw=1.2, ms=4, **look)
        n = _range({len(row.correct(shift)) for row in shown})
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), title=f"Reliability, {label.removesuffix(' shift')} (n = {n})")
        axes.set(xlabel="confidence (largest softmax)", ylabel="share right")
    for i, row in enumerate(shown):
        marks = [(np.concatenate([s.scores[scorer] for s in t]), np.concatenate([s.correct for s in t]))
                 for t in row.tables]  # fmt: skip
        curves = [calibration.risk_coverage(*pair) for pair in marks]
        risk = np.mean([c.risk[np.searchsorted(c.coverage, COVERAGE - 1e-9)] for c in curves], axis=0)
        values[i].append(float(np.mean([_aurc(c, len(of)) for c, (of, _) in zip(curves, marks, strict=True)])))
        plane[-1].plot(
            COVERAGE, risk, color=hue(i), ls=dash(i), lw=1.5, marker=mark(i), ms=4, markevery=(i % 7 + 3, 14)
        )
    n = _range({sum(len(split.labels) for splits in row.tables for split in splits) for row in shown})
    plane[-1].set(xlim=(0, 1), ylim=(0, 1), title=f"Selection, all (n = {n})")
    plane[-1].set(xlabel=f"share accepted, by {scorer} score", ylabel="share wrong of the accepted")
    said = [f"{name}: {', '.join(f'{value:.3f}' for value in of)}" for name, of in zip(names, values, strict=True)]
    legend_above(figure, _handles(shown), said, f"ECE: {', '.join(label for _, label, *_ in known)}; AURC", paper)
    return Picture(
        figure,
        f"{board.suite.name}: calibration and selection",
        f"Suite {board.suite.name}. Reliability: known classes, {calibration.BINS} bins of equal width, images pooled "
        f"over {_runs(board)}; grey: perfect. Selection: all test images of a run; accepting an image of an unknown "
        f"class is wrong; curves are means over runs at equal coverage. {_populations(board)}{left_out}"
        f"{_lacking(shown)}",
    )


KINDS: dict[str, Callable[[Board, Sequence[BoardRow], Paper], Picture]] = {
    "energy": _energy,
    "roc": _roc,
    "pareto": _pareto,
    "shots": _shots,
    "calibration": _calibration,
}


def _with_images(board: Board, rows: Sequence[BoardRow], also: str = "") -> tuple[list[BoardRow], str]:
    """Rows with per-image tables that hold the scores needed, and a sentence about the others."""
    wanted = {board.suite.protocol.headline, also} - {""}
    shown = [row for row in rows if row.tables and wanted <= set(row.tables[0][0].scores)]
    absent = [row.name for row in rows if row not in shown]
    if not shown and board.source and board.source.refused:
        raise board.source.refused[0]
    if not shown:
        raise DataError(
            f"no run of {board.suite.name} has a per-image table with the scores {', '.join(sorted(wanted))}.",
            f"Delete its runs, then: `croftbench run --method all --suite {board.suite.name}`",
        )
    return shown, f" Left out, for want of per-image tables: {'; '.join(absent)}." if absent else ""


def _handles(rows: Sequence[BoardRow], *, line: bool = True) -> list[Any]:
    return [handle(i, line=line, hollow=not row.values["ranked"]) for i, row in enumerate(rows)]


def _lacking(rows: Sequence[BoardRow]) -> str:
    """A sentence on the rows that lack runs, for the caption."""
    names = [row.label for row in rows if row.label != row.name]
    return f" Fewer runs than the others, hollow and not ranked: {'; '.join(names)}." if names else ""


def _range(counts: set[int]) -> str:
    low, high = f"{min(counts):,}", f"{max(counts):,}"
    return low if low == high else f"{low} to {high}"


def _scores(splits: Sequence[SplitTable], name: str, scorer: str) -> Vector:
    """Scores of a run's split of that name, or of its ID split for "id"."""
    return next(s.scores[scorer] for s in splits if (s.shift if name == "id" else s.name) == name).astype(np.float64)


def _fpr(thresholds: Vector, ood_scores: Vector) -> Vector:
    """Share of OOD accepted at each TPR of the grid: `metrics.fpr_at_tpr`, for many at once."""
    rejected = np.searchsorted(np.sort(ood_scores), thresholds, side="left")
    return 1 - rejected / len(ood_scores)


def _aurc(curve: calibration.Curve, n: int) -> float:
    """The value of `calibration.aurc` from a curve over n images, without the interval, which takes three sorts."""
    images = np.diff(np.rint(curve.coverage * n), prepend=0)
    return float(images @ curve.risk / n)


def _populations(board: Board) -> str:
    covariate = dict.fromkeys(name for fold in board.suite.folds for name in fold.covariate)
    shifts = ", ".join(f"{name} {images(board, name)}" for name in covariate)
    semantic = ", ".join(f"{split.name} {images(board, split.name)}" for split in board.suite.semantic)
    return f"Images a seed: ID {images(board, 'id')}; covariate shift: {shifts}; semantic shift: {semantic}."


def _runs(board: Board) -> str:
    seeds = ", ".join(map(str, board.seeds))
    return f"seeds {seeds}" + (f" and {len(board.suite.folds)} folds" if len(board.suite.folds) > 1 else "")
