"""RunSpec -> RunResult: the only place where a method's needs are materialised and test images meet a predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from croftbench import draw, encoders, plugins, scorers
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.draw.build import subset
from croftbench.draw.gather import own_pool
from croftbench.draw.splits import UNKNOWN, Fold, Shift, Split
from croftbench.encoders.lazy import Mapped, View
from croftbench.encoders.store import FeatureStore
from croftbench.errors import UsageError
from croftbench.method import Examples, Method, Outputs, Predictor, Renamable, Task, Towers
from croftbench.plugins import MethodInfo
from croftbench.progress import Clock, Progress, Silent
from croftbench.runs import environment, outputs, predict, scoring
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites import suite_rules
from croftbench.suites.language import Suite
from croftbench.training import unit

if TYPE_CHECKING:
    from croftbench.encoders.clip import Encoder
    from croftbench.encoders.identity import Identity

Keep = Callable[[str, int, Iterable[Outputs]], Iterator[Outputs]]
"""(part, images, outputs) -> the same outputs, kept on the way: `outputs.Writer.through`."""


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
        self._places: dict[str, View] = {}
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
            self._folds[key] = draw.fold(
                self.suite, spec.fold, spec.seed, spec.shots,
                roots=self.roots, train=train, allow_incomplete=self.allow_incomplete,
            )  # fmt: skip
        return self._folds[key]

    def draw(self, spec: RunSpec, info: MethodInfo, bank: bool = False) -> Fold:
        """The fold of a run. A method that trains on nothing gets training images where they ship, for scores that
        compare with them, and elsewhere only for a `bank`, if they are on this disk.
        """
        parts = next(fold.train for fold in self.suite.folds if fold.name == spec.fold)
        there = bank and all(self.roots.locate(part) is not None for part in parts)
        return self.fold(spec, info.train or self._shipped or there)

    @cached_property
    def _shipped(self) -> bool:
        return suite_rules.shipped(self.suite, self.roots.manifests)

    def run(self, spec: RunSpec, info: MethodInfo, bank: bool = False) -> tuple[RunResult, list[SplitTable]]:
        """Carry out one run: its numbers, and what it said of every image.

        With `bank` of the training images too, even for a method that needs none.

        Raises:
            CroftbenchError: data, method or training are at fault; the message says which.
        """
        with outputs.keeping(self.cache, spec.run_id) as writer:
            return self.run_on(self.draw(spec, info, bank), spec, info, keep=writer.through, bank=bank)

    def run_on(
        self, fold: Fold, spec: RunSpec, info: MethodInfo, within: Split | None = None, keep: Keep | None = None,
        bank: bool = False,
    ) -> tuple[RunResult, list[SplitTable]]:  # fmt: skip
        """Carry out a run on a fold that is given: the suite's own, or one made for tuning.

        `within` is a split that holds all of the fold's training images and whose views are encoded already; `keep`
        is handed all outputs, those of the training images too.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        timings: dict[str, float] = {}
        clock = Clock(timings)
        tested, protocol = fold.tests, self.suite.protocol
        with clock("features"):
            pictures = [self._pictures(shift, split, info.image) for shift, split in tested]
            task = self.task(fold, spec, info, within or fold.train)
        method = plugins.build(info, spec.params)
        with clock("fit"):
            predictor = method.fit(task)
        with clock("score"):

            def says(part: str, features: Tensor) -> Iterator[Outputs]:
                found = predict.predict(predictor, features, len(fold.classnames), self.identity.logit_scale, info)
                return keep(part, len(features), found) if keep else found

            def training() -> Outputs:
                return predict.joined(says(outputs.TRAIN, self._seen(fold.bank or fold.train, info.image)))

            known = self.known(fold, training)
            try:
                chosen = {name: scorers.fit(name, known) for name in protocol.scorers}
                tables = [
                    predict.table(split, shift, says(str(i), x), chosen)
                    for i, ((shift, split), x) in enumerate(zip(tested, pictures, strict=True))
                ]
                tables += self._named(fold, task, method, info, predictor, chosen)
            except scorers.NotApplicableError as error:
                raise UsageError(
                    f"{self.suite.name} asks for a score that is not applicable to {info.name}: {error.message}",
                    "Leave it out of the suite's scorers; `croftbench run --scorers` records such things.",
                ) from error
            if keep and len(known.labels) and (bank or info.train or self._shipped):
                _ = known.outputs  # for scores that are asked for later
            scores = tuple(scoring.score(tables, protocol.headline, protocol.id_filter, protocol.full_spectrum))
        env = environment.describe(self.device) | ({"splits": fold.sources} if fold.sources else {})
        return RunResult(spec, scores, env, timings, created, needs=_needs(info)), tables

    def known(self, fold: Fold, training: Callable[[], Outputs]) -> scorers.Context:
        """What scores may look at: the training images, once `training` is called, and the text."""
        labels = torch.tensor((fold.bank or fold.train).labels, dtype=torch.int64, device=self.device)
        scale = self.identity.logit_scale
        return scorers.Context(training, labels, scale, fold.classnames, fold.templates, self._embed)

    def task(self, fold: Fold, spec: RunSpec, info: MethodInfo, within: Split) -> Task:
        """What the method may learn from, with the needs that it declared.

        Raises:
            UsageError: it declared needs that this version cannot provide.
        """
        if info.image not in ("features", "patches"):
            raise UsageError(f"{info.name} needs image='{info.image}', which does not exist.", "'features', 'patches'")
        texts = self.text(fold.classnames, fold.templates)
        none = self._examples(texts[:0][None], _none())
        return Task(
            classnames=fold.classnames,
            domains=fold.domains,
            train=self._train(fold.train, spec.views, within, info.image) if info.train else none,
            val=None if fold.val is None else self._examples(self.features(fold.val, info.image)[None], fold.val),
            text=texts,
            logit_scale=self.identity.logit_scale,
            seed=spec.seed,
            towers=Towers(self.encoder.text_tower() if info.text == "tower" else None),
            device=self.device,
            on_epoch=self._epoch(f"{info.name}, seed {spec.seed}, fold {spec.fold}"),
        )

    def features(self, split: Split, image: str = "features") -> Tensor:
        """(N, D) features of a split's images under the test transform; its pool is encoded once.

        Or (N, 1 + P, D) with image="patches", read from the disk where they are indexed.
        """
        if image == "patches":
            places = self._with_places(split.pool)
            return Mapped([places], torch.tensor(split.rows), self.device, single=True)
        return self._whole(split.pool)[torch.tensor(split.rows, device=self.device)]

    def text(self, classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(C, D) text features as `Task.text` defines them."""
        prompts = [template.format(name.replace("_", " ")) for template in templates for name in classnames]
        bank = self._embed(prompts).reshape(len(templates), len(classnames), -1)  # (T, C, D)
        if len(templates) == 1:
            return bank[0]
        return unit(unit(bank).mean(0))

    def _embed(self, prompts: Sequence[str]) -> Tensor:
        """(P, D) raw text features."""
        return torch.from_numpy(np.array(self.store.text(prompts))).to(self.device)

    def _seen(self, split: Split, image: str) -> Tensor:
        """Training images under the test transform; encoded alone where their pool is not encoded whole anyway."""
        if split.pool.digest not in (self._places if image == "patches" else self._features):
            split = own_pool(split)
        return self.features(split, image)

    def _pictures(self, shift: Shift, split: Split, image: str) -> Tensor:
        """Features of a test split, by the transform that the protocol gives its role."""
        if shift == "semantic" and self.suite.protocol.ood_transform == "train":
            return self._views(split, 1, image)[0]
        return self.features(split, image)

    def _named(
        self, fold: Fold, task: Task, method: Method, info: MethodInfo, predictor: Predictor,
        chosen: Mapping[str, scorers.Scorer],
    ) -> Iterator[SplitTable]:  # fmt: skip
        """Unknown classes told apart under their own names, where the method's classifier can be given names."""
        for one in fold.named:
            text = self.text(one.classnames, fold.templates)
            if not info.train:  # nothing was learnt: other names make another classifier of the same kind
                renamed = method.fit(replace(task, classnames=one.classnames, text=text))
            elif isinstance(predictor, Renamable):
                renamed = predictor.with_classes(one.classnames, text)
            else:
                continue
            x, scale = self._pictures("named", one.split, info.image), self.identity.logit_scale
            said = predict.predict(renamed, x, len(one.classnames), scale, info)
            yield predict.table(one.split, "named", said, chosen)

    def _whole(self, pool: Pool) -> Tensor:
        if pool.digest not in self._features:
            self.progress.stage(f"encoding {pool.name}", len(pool.paths))
            array = self.store.test(pool, self.progress.advance)
            self._features[pool.digest] = torch.from_numpy(np.array(array)).to(self.device)
        return self._features[pool.digest]

    def _with_places(self, pool: Pool) -> View:
        if pool.digest not in self._places:
            self.progress.stage(f"encoding places of {pool.name}", len(pool.paths))
            self._places[pool.digest] = self.store.test_patches(pool, self.progress.advance)
        return self._places[pool.digest]

    def _train(self, split: Split, views: int, within: Split, image: str) -> Examples:
        """The training images' views, taken from those of `within`."""
        where = {row: i for i, row in enumerate(within.rows)}
        chosen = torch.tensor([where[row] for row in split.rows], device=self.device)
        return self._examples(self._views(within, views, image)[:, chosen], split)

    def _views(self, split: Split, views: int, image: str) -> Tensor:
        """(V, N, D) training views of a split; one split's at a time, for they are large and quickly read again.

        With image="patches" (V, N, 1 + P, D), read from the disk where they are indexed.
        """
        pool = subset(split)
        if image == "patches":
            self.progress.stage(f"encoding places in {views} views of {pool.name}", len(pool.paths))
            found = self.store.view_patches(pool, self.suite.protocol, views, self.progress.advance)
            return Mapped(found, torch.arange(len(split)), self.device)
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


def _needs(info: MethodInfo) -> dict[str, str | bool]:
    """What the method declared, for the run's record."""
    return {"image": info.image, "text": info.text, "train": info.train, "transductive": info.transductive}


def _answers(logits: Tensor, space: Sequence[int]) -> Tensor:
    """(B,) predicted labels; in a label space (Split.space), of the best class in it, as the label it counts as."""
    if not space:
        return logits.argmax(1)
    counts_as = torch.tensor(space, device=logits.device)  # (C,)
    return counts_as[logits.masked_fill(counts_as == UNKNOWN, -torch.inf).argmax(1)]


def _none() -> Split:
    """A split without images."""
    return Split("none", Pool("none", "none", (), ""), (), (), ())
