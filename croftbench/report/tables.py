"""Finished runs as tables: one tidy row a score, and one leaderboard row a configuration. Fractions, unrounded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from croftbench import results
from croftbench.errors import DataError
from croftbench.results import RunResult
from croftbench.specs import RunSpec, Suite, digest

CONFIGURATION = ("method", "method_version", "source", "params", "encoder", "weights_digest", "shots", "views")
"""Fields of a RunSpec that make two runs different rows of a leaderboard; seeds and folds are averaged over."""

ID = "accuracy/id"
MEAN = "accuracy/covariate-mean"
SHIFTED = "auroc/covariate"


@dataclass(frozen=True)
class Leaderboard:
    """A suite's table and what was left out of it.

    Attributes:
        suite: as it is now; every row was measured on this digest.
        seeds: the seeds that a row needs to be ranked.
        table: ranked rows by falling mean covariate accuracy, then unranked ones by name. Columns: method, encoder,
            shots, ranked, runs and runs_expected (seed-fold pairs), seeds, seeds_expected, folds, folds_expected; each
            name of `metrics` and `<name>_std`; `n/<split>`, images a seed, summed over folds; params, params_digest.
        metrics: names of the metric columns, in order: accuracy/<split>, accuracy/covariate-mean, fpr95/<split>,
            auroc/<split>, auroc/covariate.
        precision: of all rows.
        stale: runs on other digests of this suite, left out.
        extra: runs of other seeds, left out.
    """

    suite: Suite
    seeds: tuple[int, ...]
    table: pd.DataFrame
    metrics: tuple[str, ...]
    precision: str
    stale: int
    extra: int

    @property
    def note(self) -> str:
        """What was left out and what to do about it, in one line; "" where nothing was."""
        parts = []
        if self.stale:
            parts.append(
                f"{_runs(self.stale)} on another digest of {self.suite.name} left out: the suite has changed since. "
                f"Run them again to see them here."
            )
        if self.extra:
            parts.append(f"{_runs(self.extra)} with other seeds than {', '.join(map(str, self.seeds))} left out.")
        return " ".join(parts)


def frame(results_dir: Path, suite: str | None = None) -> pd.DataFrame:
    """One row per score of every finished run, of one suite or of all; no row is dropped or averaged.

    Columns: run_id, all fields of the run's specification (`params` as canonical JSON, `params_digest` its digest),
    all fields of the score, and reference_shift, the shift of its positives ("" for accuracy).
    """
    return pd.DataFrame([row for run in results.read_all(results_dir, suite) for row in _tidy(run)])


def leaderboard(results_dir: Path, suite: Suite, seeds: tuple[int, ...] | None = None) -> Leaderboard:
    """The suite's table: each configuration's mean over seeds, folds averaged first within each seed.

    Args:
        results_dir: the results folder.
        suite: rows of any other digest of it are left out and counted.
        seeds: the seeds to average over; the suite's own where None.

    Raises:
        DataError: no run to show, or runs that must not share a table: of several precisions, or of one encoder under
            several transforms.
    """
    runs = list(results.read_all(results_dir, suite.name))
    current = [run for run in runs if run.spec.suite_digest == suite.digest]
    wanted = suite.protocol.seeds if seeds is None else seeds
    chosen = [run for run in current if run.spec.seed in wanted]
    stale, extra = len(runs) - len(current), len(current) - len(chosen)
    if not chosen:
        others = f" ({stale} on another digest, {extra} with other seeds)" if stale or extra else ""
        raise DataError(
            f"{results_dir} has no finished run of {suite.name} for seeds {', '.join(map(str, wanted))}{others}.",
            f"Run: croftbench run --suite {suite.name}",
        )
    _check_comparable([run.spec for run in chosen])
    metrics = _metrics(suite)
    groups: dict[str, list[RunResult]] = {}
    for run in chosen:
        groups.setdefault(_configuration(run.spec), []).append(run)
    labels = _labels([group[0].spec for group in groups.values()])
    rows = [_row(group, suite, wanted, metrics) | label for group, label in zip(groups.values(), labels, strict=True)]
    table = pd.DataFrame(rows)[_columns(suite, metrics)]
    return Leaderboard(suite, wanted, _ordered(table), metrics, chosen[0].spec.precision, stale, extra)


# ------------------------------------------------------------------------------------- runs to rows


def _tidy(run: RunResult) -> Iterable[dict[str, Any]]:
    spec = asdict(run.spec) | {"params": _json(run.spec.params), "params_digest": digest(run.spec.params)[:12]}
    roles = {score.split: score.shift for score in run.scores if score.metric == "accuracy"}
    for score in run.scores:
        yield {"run_id": run.spec.run_id, **spec, **asdict(score), "reference_shift": roles.get(score.reference, "")}


def _row(runs: list[RunResult], suite: Suite, seeds: tuple[int, ...], metrics: tuple[str, ...]) -> dict[str, Any]:
    """One configuration's numbers."""
    scores = pd.DataFrame([row for run in runs for row in _tidy(run)])
    by_seed = _by_seed(scores, suite).reindex(columns=metrics)
    mean, std = by_seed.mean(), by_seed.std(ddof=1)
    pairs = {(run.spec.seed, run.spec.fold) for run in runs}
    folds = [fold.name for fold in suite.folds]
    spec = runs[0].spec
    coverage = {
        "ranked": pairs >= set(product(seeds, folds)),
        "runs": len(pairs),
        "runs_expected": len(seeds) * len(folds),
        "seeds": len({seed for seed, _ in pairs}),
        "seeds_expected": len(seeds),
        "folds": len({fold for _, fold in pairs}),
        "folds_expected": len(folds),
    }
    numbers = {f"{name}{part}": float(of[name]) for name in metrics for part, of in (("", mean), ("_std", std))}
    identity = {"shots": spec.shots, "params": _json(spec.params), "params_digest": digest(spec.params)[:12]}
    return identity | coverage | numbers | _populations(scores, suite)


def _by_seed(scores: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    """Each metric column's value by seed (rows), averaged over the folds that have it."""
    accuracy = scores[scores["metric"] == "accuracy"]
    # The ID split goes by its role: a split may be ID in one fold and covariate in another.
    splits = _over_folds(accuracy["split"].where(accuracy["shift"] != "id", "id").radd("accuracy/"), accuracy)
    detection = scores[(scores["scorer"] == suite.protocol.headline) & scores["metric"].isin(["fpr95", "auroc"])]
    plain = detection[detection["reference_shift"] == "id"]
    shifted = detection[(detection["reference_shift"] == "covariate") & (detection["metric"] == "auroc")]
    table = pd.concat([splits, _over_folds(plain["metric"] + "/" + plain["split"], plain)], axis=1)
    table[MEAN] = splits.reindex(columns=[f"accuracy/{name}" for name in _covariate(suite)]).mean(axis=1)
    table[SHIFTED] = _over_folds(shifted["reference"] + "/" + shifted["split"], shifted).mean(axis=1)
    return table


def _over_folds(names: pd.Series[str], scores: pd.DataFrame) -> pd.DataFrame:
    """Mean value by seed (rows) and name (columns)."""
    return scores["value"].groupby([scores["seed"], names.rename("name")]).mean().unstack("name")


def _populations(scores: pd.DataFrame, suite: Suite) -> dict[str, float]:
    """Images of each population: a seed's, summed over its folds, averaged over seeds (draws may differ a little)."""
    accuracy, detection = scores[scores["metric"] == "accuracy"], scores[scores["reference"] != ""]
    counts = {"n/id": _images(accuracy[accuracy["shift"] == "id"], "n_id")}
    for name in _covariate(suite):
        counts[f"n/{name}"] = _images(accuracy[accuracy["split"] == name], "n_id")
    for semantic in suite.semantic:
        counts[f"n/{semantic.name}"] = _images(detection[detection["split"] == semantic.name], "n_ood")
    return counts


def _images(scores: pd.DataFrame, column: str) -> float:
    return float(scores.groupby(["seed", "fold"])[column].first().groupby("seed").sum().mean())


# ------------------------------------------------------------------------------------- columns and labels


def _covariate(suite: Suite) -> list[str]:
    """Names of the covariate splits, each once, in the order of the folds."""
    return list(dict.fromkeys(name for fold in suite.folds for name in fold.covariate))


def _metrics(suite: Suite) -> tuple[str, ...]:
    accuracies = [ID, *(f"accuracy/{name}" for name in _covariate(suite)), MEAN]
    detection = [f"{metric}/{split.name}" for metric in ("fpr95", "auroc") for split in suite.semantic]
    return (*accuracies, *detection, SHIFTED)


def _columns(suite: Suite, metrics: tuple[str, ...]) -> list[str]:
    coverage = ["runs", "runs_expected", "seeds", "seeds_expected", "folds", "folds_expected"]
    values = [f"{name}{part}" for name in metrics for part in ("", "_std")]
    counts = ["n/id", *(f"n/{name}" for name in _covariate(suite)), *(f"n/{split.name}" for split in suite.semantic)]
    return ["method", "encoder", "shots", "ranked", *coverage, *values, *counts, "params", "params_digest"]


def _labels(specs: list[RunSpec]) -> list[dict[str, str]]:
    """Method and encoder as shown: the name, and whatever tells it from the others of that name."""
    described = [
        {**spec.params, "version": spec.method_version, "source": spec.source[:6], "views": spec.views}
        for spec in specs
    ]
    weights: dict[str, set[str]] = {}
    for spec in specs:
        weights.setdefault(spec.encoder, set()).add(spec.weights_digest)
    labels = []
    for spec, own in zip(specs, described, strict=True):
        same = [other for of, other in zip(specs, described, strict=True) if of.method == spec.method]
        shown = [f"{name}={_plain(value)}" for name, value in own.items() if _differs(name, same)]
        several = len(weights[spec.encoder]) > 1
        encoder = f"{spec.encoder} ({spec.weights_digest[:6]})" if several else spec.encoder
        labels.append({"method": " ".join([spec.method, *shown]), "encoder": encoder})
    return labels


def _differs(name: str, described: list[dict[str, Any]]) -> bool:
    return len({_json(one.get(name)) for one in described}) > 1


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Ranked rows by mean covariate accuracy, then ID accuracy, then name; unranked ones last, by name."""
    scores = table[[MEAN, ID]].where(table["ranked"], 0.0)
    keys = table[["ranked", "method", "encoder", "shots", "params_digest"]].assign(mean=scores[MEAN])
    keys = keys.assign(id=scores[ID])
    order = ["ranked", "mean", "id", "method", "encoder", "shots", "params_digest"]
    rows = keys.sort_values(order, ascending=[False, False, False, True, True, True, True], kind="stable").index
    return table.loc[rows].reset_index(drop=True)


# ------------------------------------------------------------------------------------- small print


def _configuration(spec: RunSpec) -> str:
    fields: Mapping[str, Any] = asdict(spec)
    return _json({name: fields[name] for name in CONFIGURATION})


def _check_comparable(specs: list[RunSpec]) -> None:
    """Same precision everywhere; one transform per encoder, since each encoder brings its own."""
    first: dict[str, RunSpec] = {}
    for spec in specs:
        other = first.setdefault(spec.encoder, spec)
        for what, pair in (("precision", (specs[0], spec)), ("transform", (other, spec))):
            one, two = (str(getattr(of, what)) for of in pair)
            if one != two:
                raise DataError(
                    f"runs {pair[0].run_id} and {pair[1].run_id} differ in {what} ({one} and {two}) and must not "
                    f"share a table.",
                    "Keep them in separate folders with --results.",
                )


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
