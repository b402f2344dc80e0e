"""RunSpec -> RunResult: the only place where a method's needs are materialised and test images meet a predictor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from croftbench import datasets, encoders, environment, plugins, scorers, scoring
from croftbench.datasets import Roots
from croftbench.datasets.draw import subset
from croftbench.errors import TrainingError, UsageError
from croftbench.features import FeatureStore
from croftbench.method import Examples, Method, Outputs, Predictor, Renamable, Task, Towers
from croftbench.perimage import SplitTable
from croftbench.plugins import MethodInfo
from croftbench.results import RunResult
from croftbench.specs import UNKNOWN, Fold, Pool, RunSpec, Shift, Split, Suite
from croftbench.training import unit

if TYPE_CHECKING:
    from croftbench.encoders.clip import Encoder
    from croftbench.encoders.identity import Identity

CHUNK = 4096
"""Test images per call of a predictor."""


class Progress(Protocol):
    """Where progress is shown; the runner itself prints nothing."""

    def stage(self, name: str, total: int) -> None:
        """A new stage of `total` steps begins."""
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps of the stage are done."""
        ...


class Silent:
    """Progress that is not shown."""

    def stage(self, name: str, total: int) -> None: ...

    def advance(self, steps: int = 1) -> None: ...


@dataclass
class Workbench:
    """One suite with one encoder on one device; features, text and folds are made once and shared by all runs.

    Attributes:
        suite: what is evaluated.
        encoder_id: the frozen encoder.
        cache: folder of the feature store and the encoder records.
        device: where methods train and predict.
        progress: where stages are shown.
        roots: where images come from.
        allow_incomplete: take splits whose counts are not the manifest's.
    """

    suite: Suite
    encoder_id: str
    cache: Path
    device: torch.device
    progress: Progress = field(default_factory=Silent)
    roots: Roots = field(default_factory=Roots)
    allow_incomplete: bool = False

    def __post_init__(self) -> None:
        self._folds: dict[tuple[int, int, str, bool], Fold] = {}
        self._features: dict[str, Tensor] = {}
        self._held: tuple[tuple[str, int], Tensor] | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder itself; touching it loads CLIP."""
        self.progress.stage(f"loading {self.encoder_id}", 1)
        loaded = encoders.load(self.encoder_id, self.device, self.cache)
        self.progress.advance()
        return loaded

    @cached_property
    def identity(self) -> Identity:
        """What the encoder is, from its record where there is one."""
        return encoders.identity(self.encoder_id, self.cache) or self.encoder.identity

    @cached_property
    def store(self) -> FeatureStore:
        return FeatureStore(self.cache, self.identity, lambda: self.encoder, self.roots)

    def fold(self, spec: RunSpec, train: bool = True) -> Fold:
        """The fold of a run, drawn from its seed; without training images for a method that needs none."""
        key = spec.seed, spec.shots, spec.fold, train
        if key not in self._folds:
            self._folds[key] = datasets.fold(
                self.suite, spec.fold, spec.seed, spec.shots,
                roots=self.roots, train=train, allow_incomplete=self.allow_incomplete,
            )  # fmt: skip
        return self._folds[key]

    def run(self, spec: RunSpec, info: MethodInfo) -> tuple[RunResult, list[SplitTable]]:
        """Carry out one run: its numbers, and what it said of every image.

        Raises:
            CroftbenchError: data, method or training are at fault; the message says which.
        """
        return self.run_on(self.fold(spec, info.train), spec, info)

    def run_on(
        self, fold: Fold, spec: RunSpec, info: MethodInfo, within: Split | None = None
    ) -> tuple[RunResult, list[SplitTable]]:
        """Carry out a run on a fold that is given: the suite's own, or one made for tuning.

        `within` is a split that holds all of the fold's training images and whose views are encoded already.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        timings: dict[str, float] = {}
        clock = _Clock(timings)
        roles, protocol = fold.tests, self.suite.protocol
        with clock("features"):
            pictures = [self._pictures(shift, split) for shift, split in roles]
            task = self.task(fold, spec, info, within or fold.train)
        method = plugins.build(info, spec.params)
        with clock("fit"):
            predictor = method.fit(task)
        with clock("score"):
            tables = [
                self._table(shift, split, predict(predictor, x, len(fold.classnames), info.name))
                for (shift, split), x in zip(roles, pictures, strict=True)
            ]
            tables += self._named(fold, task, method, info, predictor)
            scores = tuple(scoring.score(tables, protocol.headline, protocol.id_filter, protocol.full_spectrum))
        env = environment.describe(self.device) | ({"splits": fold.sources} if fold.sources else {})
        return RunResult(spec, scores, env, timings, created), tables

    def task(self, fold: Fold, spec: RunSpec, info: MethodInfo, within: Split) -> Task:
        """What the method may learn from, with the needs that it declared.

        Raises:
            UsageError: it declared needs that this version cannot provide.
        """
        if info.image != "features":
            raise UsageError(f"{info.name} needs image='{info.image}', which is not provided yet.", "Use 'features'.")
        texts = self.text(fold.classnames, fold.templates)
        train = self._train(fold.train, spec.views, within) if info.train else self._examples(texts[:0][None], _none())
        return Task(
            classnames=fold.classnames,
            train=train,
            val=None if fold.val is None else self._examples(self.features(fold.val)[None], fold.val),
            text=texts,
            logit_scale=self.identity.logit_scale,
            seed=spec.seed,
            towers=Towers(self.encoder.text_tower() if info.text == "tower" else None),
            device=self.device,
            on_epoch=self._epoch(f"{info.name}, seed {spec.seed}, fold {spec.fold}"),
        )

    def features(self, split: Split) -> Tensor:
        """(N, D) features of a split's images under the test transform; its pool is encoded once."""
        return self._whole(split.pool)[torch.tensor(split.rows, device=self.device)]

    def text(self, classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(C, D) text features as `Task.text` defines them."""
        prompts = [template.format(name.replace("_", " ")) for template in templates for name in classnames]
        raw = torch.from_numpy(np.array(self.store.text(prompts))).to(self.device)
        bank = raw.reshape(len(templates), len(classnames), -1)  # (T, C, D)
        if len(templates) == 1:
            return bank[0]
        return unit(unit(bank).mean(0))

    def _table(self, shift: Shift, split: Split, outputs: Outputs) -> SplitTable:
        """What the predictor said of each image of a split."""
        scale = self.identity.logit_scale
        scored = {name: scorers.get(name)(outputs, scale).float().cpu().numpy() for name in self.suite.protocol.scorers}
        predicted = _answers(outputs.logits, split.space).cpu().numpy()
        return SplitTable(split.name, shift, np.array(split.labels, dtype=np.int64), predicted, scored)

    def _pictures(self, shift: Shift, split: Split) -> Tensor:
        """(N, D) features of a test split, by the transform that the protocol gives its role."""
        if shift == "semantic" and self.suite.protocol.ood_transform == "train":
            return self._views(split, 1)[0]
        return self.features(split)

    def _named(
        self, fold: Fold, task: Task, method: Method, info: MethodInfo, predictor: Predictor
    ) -> Iterator[SplitTable]:
        """Unknown classes told apart under their own names, where the method's classifier can be given names."""
        for one in fold.named:
            text = self.text(one.classnames, fold.templates)
            if not info.train:  # nothing was learnt: other names make another classifier of the same kind
                renamed = method.fit(replace(task, classnames=one.classnames, text=text))
            elif isinstance(predictor, Renamable):
                renamed = predictor.with_classes(one.classnames, text)
            else:
                continue
            outputs = predict(renamed, self._pictures("named", one.split), len(one.classnames), info.name)
            yield self._table("named", one.split, outputs)

    def _whole(self, pool: Pool) -> Tensor:
        if pool.digest not in self._features:
            self.progress.stage(f"encoding {pool.name}", len(pool.paths))
            array = self.store.test(pool, self.progress.advance)
            self._features[pool.digest] = torch.from_numpy(np.array(array)).to(self.device)
        return self._features[pool.digest]

    def _train(self, split: Split, views: int, within: Split) -> Examples:
        """The training images' views, taken from those of `within`."""
        where = {row: i for i, row in enumerate(within.rows)}
        chosen = torch.tensor([where[row] for row in split.rows], device=self.device)
        return self._examples(self._views(within, views)[:, chosen], split)

    def _views(self, split: Split, views: int) -> Tensor:
        """(V, N, D) training views of a split; one split's at a time, for they are large and quickly read again."""
        pool = subset(split)
        key = pool.digest, views
        if self._held is None or self._held[0] != key:
            self.progress.stage(f"encoding {views} views of {pool.name}", len(pool.paths))
            array = self.store.views(pool, self.suite.protocol, views, self.progress.advance)
            self._held = key, torch.from_numpy(array).to(self.device)
        return self._held[1]

    def _examples(self, views: Tensor, split: Split) -> Examples:
        return Examples(
            views,
            torch.tensor(split.labels, device=self.device),
            torch.tensor(split.domains, device=self.device),
        )

    def _epoch(self, name: str) -> Callable[[int, int, float], None]:
        def show(epoch: int, epochs: int, loss: float) -> None:
            if epoch == 0:
                self.progress.stage(f"training {name}", epochs)
            self.progress.advance()

        return show


@torch.no_grad()
def predict(predictor: Predictor, features: Tensor, classes: int, name: str) -> Outputs:
    """A predictor's outputs for any number of images, checked against the contract.

    Raises:
        TrainingError: logits of the wrong shape, or values that are not finite.
    """
    parts = [predictor(chunk.clone()) for chunk in torch.split(features, CHUNK)]
    outputs = Outputs(torch.cat([p.logits for p in parts]), torch.cat([p.features for p in parts]))
    expected = (len(features), classes)
    if tuple(outputs.logits.shape) != expected:
        raise TrainingError(f"{name} returned logits of shape {tuple(outputs.logits.shape)}, not {expected}.")
    if not bool(outputs.logits.isfinite().all() and outputs.features.isfinite().all()):
        raise TrainingError(f"{name} returned values that are not finite.", "Try a smaller --set lr= or loss weight.")
    return outputs


def _answers(logits: Tensor, space: Sequence[int]) -> Tensor:
    """(B,) predicted labels; in a label space (Split.space), of the best class in it, as the label it counts as."""
    if not space:
        return logits.argmax(1)
    counts_as = torch.tensor(space, device=logits.device)  # (C,)
    return counts_as[logits.masked_fill(counts_as == UNKNOWN, -torch.inf).argmax(1)]


def _none() -> Split:
    """A split without images."""
    return Split("none", Pool("none", "none", (), ""), (), (), ())


class _Clock:
    """Seconds by stage."""

    def __init__(self, timings: dict[str, float]) -> None:
        self.timings = timings

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timings[stage] = round(time.perf_counter() - start, 3)
