"""A predictor meets images: its outputs chunk by chunk, checked, and scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from croftbench.draw.splits import UNKNOWN, Shift, Split
from croftbench.encoders.lazy import ImageFeatures
from croftbench.errors import MethodError, TrainingError
from croftbench.method import Method, Outputs, Predictor, Task
from croftbench.plugins import MethodInfo
from croftbench.runs import scoring
from croftbench.runs.isolation import calling
from croftbench.runs.outputs import Kept
from croftbench.runs.per_image import SplitTable
from croftbench.runs.posthoc import Scored
from croftbench.runs.results import Score
from croftbench.scorers import SCORERS, Asked, Context, NotApplicableError, Scorer

IMAGES = 4096
"""Images per call of a predictor at most."""

LOGITS = 2**19
"""Logits per call, 524 images of 1,000 classes: what scores make of them in float64 is 40 MB."""

PLACES = 65536
"""Places of images per call of a predictor, where it sees them: 134 MB for ViT-B/16 (201 before its projection), 262 MB
of cosines of 1,000."""

PIXELS = 64
"""Images per call of a predictor that sees their pixels: 39 MB, and a ViT-B/16's tokens of them 150 MB a block."""

SLACK = 0.01
"""How far a length may be from 1: half precision rounds by a tenth of that."""

PROBED = 64
"""Images of a chunk whose logits are compared with what the class features promise."""


def fit(method: Method, task: Task, info: MethodInfo) -> Predictor:
    """The fitted method.

    Raises:
        MethodError: it raised something, or returned no predictor.
    """
    with calling(info.author):
        return as_predictor(method.fit(task), info)


def as_predictor(predictor: object, info: MethodInfo) -> Predictor:
    if not callable(predictor):
        raise TrainingError(
            f"{info.name} gave a {type(predictor).__name__} for a predictor.",
            "Return a function of (B, D) features that returns Outputs.",
        )
    return cast("Predictor", predictor)


@torch.no_grad()
def predict(
    predictor: Predictor, features: ImageFeatures, classes: int, scale: float, info: MethodInfo
) -> Iterator[Outputs]:
    """A predictor's outputs for any number of images, in order, checked against the contract, in float32.

    A transductive method sees all images at once, any other one so many that memory stays bounded. Whole numbers and
    truth values, such as votes, count as the numbers that they are.

    Raises:
        MethodError: the predictor raised something.
        TrainingError: no `Outputs`, outputs of the wrong shape, values that are not finite, features that are not of
            unit length, or class features that do not give the logits.
    """
    size = {2: min(IMAGES, LOGITS // classes), 4: PIXELS}.get(len(features.shape), PLACES // features.shape[1])
    size = max(1, len(features) if info.transductive else size)
    for start in range(0, len(features), size):
        chunk = features[start : start + size]
        if isinstance(features, Tensor):
            chunk = chunk.clone()  # a predictor may write on what it is given; what was read is its own
        with calling(getattr(info, "author", predictor), predictor):
            outputs = _numbers(predictor(chunk), info.name)
            _check(outputs, len(chunk), classes, scale, info.name)
        yield outputs


def joined(parts: Iterable[Outputs]) -> Outputs:
    """Chunks of one call as one; their class features are the same."""
    chunks = list(parts)
    own = {name: torch.cat([part.scores[name] for part in chunks]) for name in chunks[0].scores}
    return Outputs(
        torch.cat([p.logits for p in chunks]), torch.cat([p.features for p in chunks]), chunks[0].classes, own
    )


@torch.no_grad()
def table(split: Split, shift: Shift, outputs: Iterable[Outputs], chosen: Mapping[str, Scorer]) -> SplitTable:
    """The predicted label of each image of a split, and its scores."""
    predicted: list[Tensor] = []
    scored: dict[str, list[Tensor]] = {name: [] for name in chosen}
    for chunk in outputs:
        predicted.append(answers(chunk.logits, split.space).cpu())
        for name, scorer in chosen.items():
            scored[name].append(scorer(chunk).float().cpu())
    labels = np.array(split.labels, dtype=np.int64)
    scores = {name: torch.cat(values).numpy() for name, values in scored.items()}
    return SplitTable(split.name, shift, labels, torch.cat(predicted).numpy(), scores, split.images)


def score(
    kept: Kept,
    roles: Sequence[tuple[Shift, Split]],
    context: Context,
    asked: Sequence[Asked],
    id_filter: str = "all",
    official: bool = False,
    failed: Callable[[Asked, MethodError], None] | None = None,
) -> tuple[list[Scored], list[SplitTable]]:
    """Scores of a finished run's outputs, the method's own among them, and the tables that they come from.

    What is not applicable is in the list, with its reason and without numbers. A score that a user wrote and that fails
    is handed to `failed` and is not in the list.

    Raises:
        MethodError: it fails, and there is no `failed`.
    """
    device = context.labels.device
    fitted: dict[str, Scorer] = {name: lambda outputs, name=name: outputs.scores[name] for name in kept.own}
    reasons: dict[str, str] = {}
    seconds = dict.fromkeys([*kept.own, *(one.label for one in asked)], 0.0)
    probe = next(kept.read("0", device, 1))
    broken: dict[str, MethodError] = {}
    for one in asked:
        start = time.perf_counter()
        try:
            fitted[one.label] = fit_score(one, context)
            fitted[one.label](probe)
            if one.own and failed:
                fitted[one.label] = _noting(fitted[one.label], broken, one.label)
        except NotApplicableError as error:
            fitted.pop(one.label, None)
            reasons[one.label] = error.message
        except MethodError as error:
            if not (one.own and failed):
                raise
            fitted.pop(one.label, None)
            broken[one.label] = error
        seconds[one.label] += time.perf_counter() - start
    timed = {label: _timed(scorer, seconds, label) for label, scorer in fitted.items()}
    tables = [table(split, shift, kept.read(str(i), device), timed) for i, (shift, split) in enumerate(roles)]
    for one in asked:
        if one.label in broken and failed:
            failed(one, broken[one.label])
    tables = [replace(of, scores={k: v for k, v in of.scores.items() if k not in broken}) for of in tables]
    rows: dict[str, list[Score]] = {label: [] for label in seconds}
    for row in scoring.score(tables, "", id_filter, official=official):
        if row.scorer:
            rows[row.scorer].append(row)
    scored = [Scored(name, "own", seconds=round(seconds[name], 3), scores=tuple(rows[name])) for name in kept.own]
    scored += [
        Scored(
            one.label, one.name, one.params, one.spec.version, one.file_digests(), reasons.get(one.label, ""),
            round(seconds[one.label], 3), scores=tuple(rows[one.label]),
        )
        for one in asked
        if one.label not in broken
    ]  # fmt: skip
    return scored, tables


def fit_score(one: Asked, context: Context) -> Scorer:
    """A score, fitted; of one that a user wrote, every call stays in its run (see `runs.isolation`), and is checked.

    Raises:
        NotApplicableError: it has no meaning here.
        MethodError: it raised something, or gives anything but a finite number an image; so may its calls.
    """
    if one.own is None:
        return one.fit(context)
    author = one.own.author
    with calling(author, passing=(NotApplicableError,)):
        scorer = one.fit(context)

    def checked(outputs: Outputs) -> Tensor:
        with calling(author, passing=(NotApplicableError,)):
            return checked_scores(scorer(outputs), len(outputs.logits), one.name)

    return checked


def checked_scores(scores: object, images: int, name: str) -> Tensor:
    """What a score gave for so many images.

    Raises:
        TrainingError: it is anything but a finite number each.
    """
    if not isinstance(scores, Tensor) or tuple(scores.shape) != (images,) or scores.is_complex():
        what = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"type {type(scores).__name__}"
        raise TrainingError(f"{name} gave scores of {what} for {images} images.", "Return a tensor (B,).")
    if not bool(scores.isfinite().all()):
        raise TrainingError(f"{name} gave scores that are not finite.", "Look at its logarithms and divisions.")
    return scores.detach()


def _noting(scorer: Scorer, broken: dict[str, MethodError], label: str) -> Scorer:
    """A score that goes on where it fails, with what nobody will read; why is put into `broken`."""

    def noting(outputs: Outputs) -> Tensor:
        if label not in broken:
            try:
                return scorer(outputs)
            except MethodError as error:
                broken[label] = error
        return torch.zeros(len(outputs.logits))

    return noting


def answers(logits: Tensor, space: Sequence[int]) -> Tensor:
    """(B,) predicted labels; in a label space (Split.space), of the best class in it, as the label it counts as."""
    if not space:
        return logits.argmax(1)
    counts_as = torch.tensor(space, device=logits.device)  # (C,)
    return counts_as[logits.masked_fill(counts_as == UNKNOWN, -torch.inf).argmax(1)]


def _timed(scorer: Scorer, seconds: dict[str, float], label: str) -> Scorer:
    def timed(outputs: Outputs) -> Tensor:
        start = time.perf_counter()
        scores = scorer(outputs).cpu()
        seconds[label] += time.perf_counter() - start
        return scores

    return timed


def _numbers(outputs: object, name: str) -> Outputs:
    """What a predictor returned, in float32."""
    if not isinstance(outputs, Outputs):
        hint = "Return croftbench.method.Outputs(logits, features)."
        raise TrainingError(f"{name} returned a {type(outputs).__name__}, not Outputs.", hint)
    given: object = outputs.scores
    if not isinstance(given, Mapping):
        hint = "They are tensors by name: {'own': (B,)}."
        raise TrainingError(f"{name} returned scores of type {type(given).__name__}.", hint)
    parts = {"logits": outputs.logits, "features": outputs.features, **outputs.scores}
    if outputs.classes is not None:
        parts["classes"] = outputs.classes
    for part, value in parts.items():
        if not isinstance(value, Tensor) or value.is_complex():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TrainingError(f"{name} returned {part} of type {kind}.", "They are real numbers in a torch.Tensor.")
    own = {part: value.float() for part, value in outputs.scores.items()}
    classes = None if outputs.classes is None else outputs.classes.float()
    return Outputs(outputs.logits.float(), outputs.features.float(), classes, own)


def _check(outputs: Outputs, images: int, classes: int, scale: float, name: str) -> None:
    expected, shape = (images, classes), tuple(outputs.logits.shape)
    if shape != expected:
        raise TrainingError(f"{name} returned logits of shape {shape}, not {expected}.")
    if outputs.features.ndim != 2 or len(outputs.features) != images:
        of = tuple(outputs.features.shape)
        raise TrainingError(f"{name} returned features of shape {of} for {images} images.", "They are (B, D).")
    values = [outputs.logits, outputs.features, *outputs.scores.values()]
    if not all(bool(value.isfinite().all()) for value in values):
        raise TrainingError(f"{name} returned values that are not finite.", "Try a smaller --set lr= or loss weight.")
    for own, value in outputs.scores.items():
        if own in SCORERS or tuple(value.shape) != (images,):
            raise TrainingError(
                f"{name} returned a score '{own}' of shape {tuple(value.shape)}.",
                "Its own scores are (B,) each, and not named like one of `croftbench list scorers`.",
            )
    _check_lengths(outputs.features, f"{name} returned features")
    if outputs.classes is not None:
        _check_lengths(outputs.classes, f"{name} returned class features")
        promised = scale * outputs.features[:PROBED] @ outputs.classes.T
        if promised.shape[1] != classes or not torch.allclose(promised, outputs.logits[:PROBED], rtol=1e-3, atol=1e-2):
            raise TrainingError(
                f"{name} returned class features that do not give its logits.",
                "Outputs.classes is for logits = logit_scale * features @ classes.T, and None for others.",
            )


def _check_lengths(features: Tensor, whose: str) -> None:
    """Refuse what is not of unit length: distances and cosines of it would be those of another space."""
    lengths = features.square().sum(-1).sqrt()
    worst = float(lengths[(lengths - 1).abs().argmax()]) if len(lengths) else 1.0
    if abs(worst - 1) > SLACK:
        raise TrainingError(
            f"{whose} of length {worst:.3g}, not 1.", "Return them as croftbench.training.unit(features)."
        )
