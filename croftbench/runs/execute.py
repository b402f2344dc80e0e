"""RunSpec -> RunResult: the only place where a method's needs are materialised and test images meet a predictor."""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from croftbench import plugins, scorers
from croftbench.data.roots import Roots
from croftbench.draw.draws import Draws
from croftbench.draw.splits import Fold, Shift, Split
from croftbench.encoders.features import Features, kind_of, places_of
from croftbench.encoders.lazy import ImageFeatures, PlaceReader
from croftbench.errors import UsageError
from croftbench.method import Examples, Method, Outputs, Predictor, Renamable, Task
from croftbench.plugins import MethodInfo
from croftbench.progress import Clock, Progress, Silent, epochs
from croftbench.runs import alone, environment, given, outputs, planning, predict, scoring
from croftbench.runs.isolation import Limits, calling, one_run
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.encoders.identity import Identity

Keep = Callable[[str, int, Iterable[Outputs]], Iterator[Outputs]]
"""(part, images, outputs) -> the same outputs, kept on the way: `outputs.Writer.through`."""


@dataclass
class Workbench:
    """One suite with one encoder on one device, for any number of runs.

    Attributes:
        suite: what is evaluated.
        encoder_id: the frozen encoder.
        cache: folder of the feature store, the encoder records and kept outputs.
        device: where methods train and predict.
        progress: where stages are shown.
        roots: where images come from.
        allow_incomplete: take splits whose counts are not the manifest's.
        preprocess: what replaces the encoder's own preprocessing, as in `encoders.load`.
        draws: which image plays which role.
        features: what the encoder makes of images and texts.
        limits: what a run may take.
        said: notes that were given.
    """

    suite: Suite
    encoder_id: str
    cache: Path
    device: torch.device
    progress: Progress = field(default_factory=Silent)
    roots: Roots = field(default_factory=Roots)
    allow_incomplete: bool = False
    preprocess: str = ""
    limits: Limits = field(default_factory=Limits)
    draws: Draws = field(init=False)
    features: Features = field(init=False)
    said: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.draws = Draws(self.suite, self.roots, self.allow_incomplete)
        self.features = Features(self.encoder_id, self.cache, self.device, self.progress, self.roots, self.preprocess)

    @property
    def identity(self) -> Identity:
        """What the encoder is."""
        return self.features.identity

    def say(self, message: str) -> None:
        """A note, once."""
        if message not in self.said:
            self.said.add(message)
            self.progress.note(message)

    def fold(self, spec: RunSpec, train: bool = True) -> Fold:
        """The fold of a run, drawn from its seed; without training images where `train` is False."""
        return self.draws.fold(spec.fold, spec.seed, spec.shots, train)

    def fold_of(self, spec: RunSpec, info: MethodInfo, bank: bool = False) -> Fold:
        """The fold of a method's run. A method that trains on nothing gets training images where they ship, for
        scores that compare with them, and elsewhere only for a `bank`, if they are on this disk.
        """
        on_disk = bank and self.draws.has_training_images(spec.fold)
        return self.fold(spec, info.train or self.draws.shipped or on_disk)

    def task(self, fold: Fold, spec: RunSpec, info: MethodInfo, within: Split | None = None) -> Task:
        """What the method may learn from, with the needs that it declared.

        `within` is a split that holds all of the fold's training images, and whose views are encoded in their place
        where the fold has no `candidates`.

        Raises:
            UsageError: it declared needs that this version cannot provide.
        """
        given.check(info)
        info = planning.on(self.identity, info)
        text = self.features.text(fold.classnames, fold.templates)
        none = torch.empty(0, dtype=torch.int64, device=self.device)
        within = fold.candidates or within
        return Task(
            classnames=fold.classnames,
            domains=fold.domains,
            train=given.training(self.features, self.suite.protocol, fold.train, within, spec.views, info.image)
            if info.train
            else Examples(text[:0][None], none, none),
            val=None if fold.val is None else given.validation(self.features, fold.val, info.image),
            text=text,
            logit_scale=self.identity.logit_scale,
            seed=spec.seed,
            towers=given.towers(self.features, info),
            device=self.device,
            on_epoch=epochs(self.progress, f"{info.name}, seed {spec.seed}, fold {spec.fold}"),
            raw_text=self.features.raw_text(fold.classnames, fold.templates),
            templates=fold.templates,
        )

    def test_images(self, shift: Shift, split: Split, image: str) -> ImageFeatures:
        """Features of a test split, by the transform that the protocol gives its role."""
        protocol = self.suite.protocol
        if shift != "semantic" or protocol.ood_transform != "train":
            return self.features.images(split, image)
        if image == "tower":
            return self.features.pixels(split, protocol)
        if kind := places_of(image):
            (view,) = self.features.view_places(split, protocol, 1, kind)
            return PlaceReader(view, np.arange(len(split)), self.device)
        return self.features.views(split, protocol, 1, kind_of(image))[0]

    def score_context(self, fold: Fold, training: Callable[[], Outputs]) -> scorers.Context:
        """What scores may look at: the outputs of the training images, once `training` is called, and the text."""
        labels = torch.tensor(fold.score_bank.labels, dtype=torch.int64, device=self.device)
        scale, encode = self.identity.logit_scale, (self.features.encode_text, self.features.encode_drawn)
        return scorers.Context(training, labels, scale, fold.classnames, fold.templates, *encode)

    def encode(self, spec: RunSpec, info: MethodInfo) -> None:
        """See to it that all features of a run are in the cache; other processes that do so too share the work."""
        fold, info = self.fold_of(spec, info), planning.on(self.identity, info)
        for shift, split in fold.tests:
            self.test_images(shift, split, info.image)
        self.task(fold, spec, replace(info, text="embeddings"))

    def run(self, spec: RunSpec, info: MethodInfo, bank: bool = False) -> tuple[RunResult, list[SplitTable]]:
        """One run, and its outputs kept: its numbers, and its answer and scores for every image.

        With `bank` those of the training images too, even for a method that needs none. What the method does stays in
        its run: see `runs.isolation`.

        Raises:
            CroftbenchError: data, method or training are at fault; the message says which.
        """
        if self.limits.isolate:
            return alone.call(Workbench.run, self, spec, info, bank)
        with (
            one_run(spec.seed, self.limits),
            outputs.keeping(self.cache, spec.run_id, self.identity.logit_scale) as writer,
        ):
            fold, info = self.fold_of(spec, info, bank), planning.on(self.identity, info)
            keep_bank = bank or info.train or self.draws.shipped
            return _Run(self, fold, spec, info, fold.train, writer.through, keep_bank).execute()

    def run_on(
        self, fold: Fold, spec: RunSpec, info: MethodInfo, within: Split | None = None,
        asked: Sequence[scorers.Asked] = (),
    ) -> tuple[RunResult, list[SplitTable]]:  # fmt: skip
        """One run on a given fold; `within` as in `task`, `asked` beside the suite's scores; nothing is kept."""
        with one_run(spec.seed, self.limits):
            of = planning.on(self.identity, info)
            return _Run(self, fold, spec, of, within or fold.train, asked=asked).execute()


@dataclass(frozen=True)
class _Run:
    """One run on one fold: features, fit, predict and score, record.

    Attributes:
        bench, fold, spec, info, within, asked: as in `Workbench.run_on`.
        keep: is handed all outputs.
        keep_bank: those of the training images too, even where no score of the suite asks for them.
    """

    bench: Workbench
    fold: Fold
    spec: RunSpec
    info: MethodInfo
    within: Split
    keep: Keep | None = None
    keep_bank: bool = False
    asked: Sequence[scorers.Asked] = ()

    def execute(self) -> tuple[RunResult, list[SplitTable]]:
        """All steps, timed."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        timings: dict[str, float] = {}
        clock, protocol = Clock(timings), self.bench.suite.protocol
        with clock("features"):
            images = [self.bench.test_images(shift, split, self.info.image) for shift, split in self.fold.tests]
            task = self.bench.task(self.fold, self.spec, self.info, self.within)
        with calling(self.info.author):
            method = plugins.build(self.info, self.spec.params)
        with clock("fit"):
            predictor = predict.fit(method, task, self.info)
        with clock("score"):
            tables = self.tables(images, task, method, predictor)
            how = protocol.headline, protocol.id_filter, protocol.full_spectrum, self.bench.suite.official
            scores = tuple(scoring.score(tables, *how))
        said = {"code": self.info.code, "target": self.info.file, "splits": self.fold.sources}
        said |= {"namesakes": self.fold.namesakes}
        env = environment.describe(self.bench.device) | {key: of for key, of in said.items() if of} | self.shots()
        warnings = tuple(scoring.warnings(scores))
        return RunResult(self.spec, scores, env, timings, created, needs=self.info.needs, warnings=warnings), tables

    def shots(self) -> dict[str, dict[str, int]]:
        """How many training images the classes have, the fewest and the most; said once where they are too few."""
        if not self.info.train:
            return {}
        counts = Counter(self.fold.train.labels).values()
        fewest, most, asked = min(counts), max(counts), self.spec.shots
        protocol = self.bench.suite.protocol
        uneven = protocol.sampler == "domain" or asked == protocol.shots  # by design, or a suite's own small classes
        if most < asked or (fewest < asked and not uneven):
            have = f"{fewest} to {most}" if fewest < most else str(most)
            self.bench.say(f"{self.spec.suite}: {asked} shots were asked for; a class has {have} training images.")
        return {"shots": {"fewest": fewest, "most": most}}

    def tables(
        self, images: Sequence[ImageFeatures], task: Task, method: Method, predictor: Predictor
    ) -> list[SplitTable]:
        """Answers and scores for every image of every test split."""
        suite, fold = self.bench.suite, self.fold

        def bank() -> Iterator[Outputs]:
            features = self.bench.features.images(fold.score_bank, self.info.image, alone=True)
            return self.predict(predictor, outputs.TRAIN, features)

        @functools.cache
        def training() -> Outputs:
            """Of the training images, for scores that compare with them: predicted once, if at all."""
            return predict.joined(bank())

        context = self.bench.score_context(fold, training)
        try:
            fitted = {name: scorers.fit(name, context) for name in suite.protocol.scorers}
            fitted |= {one.label: predict.fit_score(one, context) for one in self.asked if one.label not in fitted}
            tables = [
                predict.table(split, shift, self.predict(predictor, str(i), features), fitted)
                for i, ((shift, split), features) in enumerate(zip(fold.tests, images, strict=True))
            ]
            tables += self.named(task, method, predictor, fitted)
        except scorers.NotApplicableError as error:
            raise UsageError(
                f"{suite.name} asks for a score that is not applicable to {self.info.name}: {error.message}",
                "Leave it out of the suite's scorers; --scorers, of finished runs, records such things.",
            ) from error
        if self.keep and self.keep_bank and len(fold.score_bank) and not training.cache_info().currsize:
            deque(bank(), maxlen=0)  # predicting keeps them, for scores that are asked for later
        return tables

    def predict(self, predictor: Predictor, part: str, features: ImageFeatures) -> Iterator[Outputs]:
        """A predictor's outputs for a part of the run, kept on the way."""
        scale = self.bench.identity.logit_scale
        predicted = predict.predict(predictor, features, len(self.fold.classnames), scale, self.info)
        return self.keep(part, len(features), predicted) if self.keep else predicted

    def named(
        self, task: Task, method: Method, predictor: Predictor, fitted: Mapping[str, scorers.Scorer]
    ) -> Iterator[SplitTable]:
        """Unknown classes told apart under their own names, where the method's classifier can be given names."""
        for one in self.fold.named:
            prompted = one.classnames, self.fold.templates
            text, raw_text = self.bench.features.text(*prompted), self.bench.features.raw_text(*prompted)
            if not self.info.train:  # nothing was learnt: other names make another classifier of the same kind
                others = replace(task, classnames=one.classnames, text=text, raw_text=raw_text)
                renamed = predict.fit(method, others, self.info)
            elif isinstance(predictor, Renamable):
                with calling(self.info.author, predictor.with_classes):
                    renamed = predict.as_predictor(predictor.with_classes(one.classnames, text), self.info)
            else:
                continue
            features, scale = self.bench.test_images("named", one.split, self.info.image), task.logit_scale
            predicted = predict.predict(renamed, features, len(one.classnames), scale, self.info)
            yield predict.table(one.split, "named", predicted, fitted)
