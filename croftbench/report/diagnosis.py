"""A diagnosis as a table and a picture: energy gradients and Hessians, beside accuracy and detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from croftbench.report.style import MARKERS, Picture, dash, hue, panels, style


@dataclass(frozen=True)
class Column:
    """One measured thing.

    Attributes:
        name: as tables and legends show it.
        quantity, shift: of the findings; several splits of a shift are averaged.
        percent: whether it is shown times 100.
    """

    name: str
    quantity: str
    shift: str
    percent: bool = False


COLUMNS = (
    Column("energy gradient, train", "energy gradient", "train"),
    Column("energy gradient, covariate", "energy gradient", "covariate"),
    Column("energy gradient, semantic", "energy gradient", "semantic"),
    Column("Hessian distance, train", "hessian distance", "train"),
    Column("Hessian distance, test", "hessian distance", "covariate"),
    Column("diagonals, test", "hessian diagonal distance", "covariate"),
    Column("accuracy, ID", "accuracy", "id", percent=True),
    Column("accuracy, covariate", "accuracy", "covariate", percent=True),
    Column("AUROC, semantic", "auroc", "semantic", percent=True),
)
PANELS = (
    ("energy gradient", ("energy gradient",), "gradient norm"),
    ("distance of Hessians between domains", ("hessian distance", "hessian diagonal distance"), "relative distance"),
    ("is it right?", ("accuracy",), "accuracy (%)"),
    ("does it notice?", ("auroc",), "AUROC of the energy (%)"),
)
CLAIMED = ("energy gradient, train", "Hessian distance, train", "Hessian distance, test", "diagonals, test")
OUTCOMES = ("Hessian distance, test", "accuracy, covariate", "AUROC, semantic")
"""The paper's chain: a small energy gradient in training goes with like Hessians, and these with OOD accuracy."""


def by_run(record: Mapping[str, Any]) -> pd.DataFrame:
    """One row a setting, seed and fold, the frozen model first; one column a `Column`."""
    measured = pd.DataFrame(record["findings"])
    keys = ["setting", "seed", "fold"]
    wide = measured.groupby([*keys, "quantity", "shift"], sort=False)["value"].mean().unstack(["quantity", "shift"])
    wide = wide.reindex(pd.MultiIndex.from_frame(measured[keys].drop_duplicates()))
    there = [column for column in COLUMNS if (column.quantity, column.shift) in wide]
    return pd.DataFrame({c.name: wide[c.quantity, c.shift] * (100 if c.percent else 1) for c in there})


def summary(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean and standard deviation over seeds, folds averaged within each: one row a setting."""
    seeds = runs.groupby(level=["setting", "seed"], sort=False).mean()
    grouped = seeds.groupby(level="setting", sort=False)
    return grouped.mean(), grouped.std(ddof=1).fillna(0)


def correlations(runs: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlations over the fitted settings: mean, lowest and highest of those within each run.

    Within a seed and fold, since others draw other classes: what is hard at every setting must not pass for a
    relation. Empty for fewer than three settings.
    """
    fitted = runs.drop(index=runs.index.get_level_values("setting")[0], level="setting")
    if fitted.index.get_level_values("setting").nunique() < 3:
        return pd.DataFrame()
    each = [group.corr(method="spearman") for _, group in fitted.groupby(level=["seed", "fold"])]
    cells = {
        outcome: {
            measure: _spread([float(table.loc[measure, outcome]) for table in each])
            for measure in CLAIMED
            if measure in runs and measure != outcome
        }
        for outcome in OUTCOMES
        if outcome in runs
    }
    return pd.DataFrame(cells).reindex([m for m in CLAIMED if m in runs]).fillna("")


def to_markdown(record: Mapping[str, Any]) -> str:
    """The record as a page of two tables."""
    runs = by_run(record)
    mean, std = summary(runs)
    shown = pd.DataFrame(
        {c.name: _cells(mean[c.name], std[c.name], 1 if c.percent else 3) for c in COLUMNS if c.name in mean}
    )
    parts = [f"# {record['method']} on {record['suite']}, diagnosed", caption(record), shown.T.to_markdown()]
    related = correlations(runs)
    if len(related):
        parts += [
            f"Spearman's rank correlation over the {len(mean) - 1} fitted settings within each seed and fold: mean "
            "(lowest to highest).",
            related.to_markdown(),
        ]
    return "\n\n".join(parts) + "\n"


def draw(record: Mapping[str, Any]) -> Picture:
    """Every quantity over the settings."""
    mean, std = summary(by_run(record))
    settings = [str(setting) for setting in mean.index]
    with style():
        figure, plane = panels(len(PANELS), 2, (5.2, 3.2))
        for axes, (title, quantities, label) in zip(plane, PANELS, strict=True):
            columns = [c for c in COLUMNS if c.quantity in quantities and c.name in mean]
            for i, column in enumerate(columns):
                looks: dict[str, Any] = {"color": hue(i), "marker": MARKERS[i], "ms": 4, "lw": 1.4, "capsize": 2}
                y, error = mean[column.name], std[column.name]
                axes.errorbar([0], y[:1], error[:1], mfc="white", **looks)  # frozen: not a point of the sweep
                axes.errorbar(range(1, len(y)), y[1:], error[1:], ls=dash(i), label=column.name, **looks)
            axes.set(title=title, ylabel=label)
            axes.set_xticks(range(len(settings)), settings, rotation=25, ha="right")
            low, high = axes.get_ylim()
            axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
            axes.legend(loc="upper right")
    return Picture(figure, f"{record['method']} on {record['suite']}: energy gradients and Hessians", caption(record))


def caption(record: Mapping[str, Any]) -> str:
    """What was measured, on what."""
    runs = pd.DataFrame(record["findings"])
    seeds, folds = sorted(runs["seed"].unique()), runs["fold"].nunique()
    averaged = f", {folds} folds averaged within each" if folds > 1 else ""
    return (
        f"Mean ± standard deviation over seeds {', '.join(map(str, seeds))}{averaged}. Energy gradient: norm of the "
        "gradient of a split's mean energy with respect to linear adapters behind image and class features. Hessian "
        "distance: of the classification loss in the same adapters, between domains, relative to their size: 0 equal, "
        f"1.41 orthogonal; by {record['probes']} shared random probes; diagonals exactly. Up to {record['images']} "
        "images a split. AUROC: energy, ID test against each unknown split, averaged. "
        f"Encoder {record['encoder']}, {record['shots']} shots."
    )


def _cells(mean: pd.Series[float], std: pd.Series[float], digits: int) -> pd.Series[str]:
    shown = [f"{m:.{digits}f} ± {s:.{digits}f}" for m, s in zip(mean, std, strict=True)]
    return pd.Series(shown, index=mean.index)


def _spread(values: Sequence[float]) -> str:
    """Runs in which a quantity is constant have no rank correlation and are left out."""
    there = [value for value in values if value == value]
    return f"{fmean(there):+.2f} ({min(there):+.2f} to {max(there):+.2f})" if there else "constant"
