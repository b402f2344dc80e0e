"""Does a score keep the contract of `croftbench.scorers.own_scores`? One function a promise, on images that ship.

It scores what zero-shot CLIP says of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from croftbench import blame, plugins
from croftbench.draw.splits import Fold
from croftbench.errors import MethodError
from croftbench.method import Outputs
from croftbench.runs import predict
from croftbench.runs.execute import Workbench
from croftbench.runs.isolation import calling, one_run
from croftbench.scorers import Asked, Context, Scorer, own_scores
from croftbench.stats import metrics
from croftbench.studies import promises
from croftbench.studies.contract import Trial, small
from croftbench.studies.promises import Promise, opened, test_folders
from croftbench.suites.language import Suite

KNOWN = 0.5
"""Share of the small suite's classes that are known here: a direction takes more than four images to see."""


def suite(manifests: Path | None = None) -> Suite:
    """What scores are checked on: food, half of it known; other food, people, symbols and digits unknown."""
    made = small(manifests)
    return replace(made, classes=replace(made.classes, known=KNOWN), protocol=replace(made.protocol, shots=3))


@dataclass
class ScoreTrial:
    """One score on `suite()`.

    Attributes:
        bench: on that suite.
        asked: the score.
    """

    bench: Workbench
    asked: Asked

    @cached_property
    def trial(self) -> Trial:
        """Of zero-shot CLIP, whose outputs are scored."""
        return Trial(self.bench, plugins.describe("zero-shot", self.bench.cache))

    @cached_property
    def fold(self) -> Fold:
        """All its images."""
        return self.bench.fold_of(self.trial.spec, self.trial.info, bank=True)

    @cached_property
    def outputs(self) -> dict[str, Outputs]:
        """What zero-shot CLIP says of known images ("id"), of unknown ones by the name of their split, and of the
        training images ("train").
        """
        predictor, trial = self.trial.fit(), self.trial
        classes = len(self.fold.classnames)
        splits = {"id": self.fold.id} | {one.name: one for shift, one in self.fold.tests if shift == "semantic"}
        said = {
            name: trial.outputs(predictor, self.bench.features.images(split, "features"), classes)
            for name, split in splits.items()
        }
        return said | {"train": trial.outputs(predictor, self._bank(), classes)}

    def _bank(self) -> Tensor:
        features = self.bench.features.images(self.fold.score_bank, "features", alone=True)
        return features[0 : len(features)]

    def context(self) -> Context:
        """All that any score may look at, of tensors that are nobody else's."""
        return self.bench.score_context(self.fold, lambda: own_scores.copied(self.outputs["train"], own_scores.USES))

    def fit(self, context: Context | None = None) -> Scorer:
        """The score, fitted on what is not narrowed to what it declares, and handed what it may spoil."""
        assert self.asked.own is not None and self.asked.own.author is not None
        author, whole = self.asked.own.author, context or self.context()
        with calling(author):
            scorer: Scorer = own_scores.built(author, self.asked.params).fit(whole)
        return scorer

    def score(self, scorer: Scorer, outputs: Outputs) -> Tensor:
        """What it gives for outputs, checked."""
        with calling(self.author, scorer):
            return predict.checked_scores(scorer(outputs), len(outputs.logits), self.asked.name)

    @property
    def author(self) -> type | None:
        """Its class."""
        return self.asked.spec.author

    def some(self, n: int = 24) -> Outputs:
        """Outputs of a few known images, to be written on."""
        whole = self.outputs["id"]
        return own_scores.copied(replace(whole, logits=whole.logits[:n], features=whole.features[:n]), own_scores.USES)

    def broken(self, message: str, hint: str, begins: object = None) -> MethodError:
        """A promise that is not kept, with the line where what breaks it begins."""
        return MethodError(message, hint, blame.defined(self.author if begins is None else begins))


def fits_and_scores(trial: ScoreTrial) -> None:
    """One finite number an image."""
    scorer = trial.fit()
    if not callable(scorer):
        raise trial.broken(f"fit gave a {type(scorer).__name__}", "Return a function of Outputs.")
    trial.score(scorer, trial.some())


def is_deterministic(trial: ScoreTrial) -> None:
    """Fitted twice it gives the same bits, whatever was drawn from global streams in between."""
    first = trial.score(trial.fit(), trial.some())
    torch.rand(3)
    np.random.rand(3)
    if not torch.equal(first, trial.score(trial.fit(), trial.some())):
        raise trial.broken("fitted twice it gives other scores", "Draw from a generator with a seed of its own.")


def leaves_inputs_alone(trial: ScoreTrial) -> None:
    """What it is given is as it was."""
    context, shown, before = trial.context(), trial.some(), trial.some()
    scorer = trial.fit(context)
    trial.score(scorer, shown)
    for name in ("logits", "features", "classes"):
        if not torch.equal(getattr(shown, name), getattr(before, name)):
            raise trial.broken(f"it writes on outputs.{name}", f"Work on a copy: outputs.{name}.clone().", scorer)
    bank, fresh = context.outputs, trial.outputs["train"]
    if not torch.equal(bank.logits, fresh.logits) or not torch.equal(bank.features, fresh.features):
        raise trial.broken("fit writes on context.outputs", "Work on a copy, by .clone().")


def scores_image_by_image(trial: ScoreTrial) -> None:
    """An image's score does not depend on those beside it."""
    scorer, some = trial.fit(), trial.some(8)
    rows = [replace(some, logits=some.logits[i : i + 1], features=some.features[i : i + 1]) for i in range(8)]
    alone = torch.cat([trial.score(scorer, row) for row in rows])
    if not torch.allclose(alone.float(), trial.score(scorer, some).float(), rtol=1e-3, atol=1e-4):
        raise trial.broken("an image's score depends on the images beside it", "Use nothing of the batch.", scorer)


def declares_what_it_uses(trial: ScoreTrial) -> None:
    """It does with what it declares in `uses`."""
    try:
        predict.fit_score(trial.asked, trial.context())(trial.some())
    except MethodError as error:
        error.hint = error.hint or f"It declares uses = {trial.asked.spec.uses!r}: 'classes' gives outputs.classes."
        raise


def reads_no_test_data(trial: ScoreTrial) -> None:
    """While it is fitted and scores, it opens no file that holds test images, their features, or labels."""
    context, some = trial.context(), trial.some()
    _ = context.outputs
    with opened() as paths:
        trial.score(trial.fit(context), some)
    for path in paths:
        if path.startswith(tuple(test_folders(trial.bench))):
            raise trial.broken(f"it opens {path}, where test data are", "All that it may know is in `context`.")


def is_higher_for_the_known(trial: ScoreTrial) -> None:
    """Known images have the higher scores, or at least nobody could say that they have the lower ones."""
    scorer = trial.fit()
    scores = {
        name: trial.score(scorer, own_scores.copied(said, own_scores.USES)).double().cpu().numpy()
        for name, said in trial.outputs.items()
        if name != "train"
    }
    inside = scores.pop("id")
    outside = np.concatenate(list(scores.values()))
    found = metrics.auroc(inside, outside)
    if found.high < 0.5:
        raise trial.broken(
            f"unknown images have the higher scores: AUROC {100 * found.value:.0f} (at most {100 * found.high:.0f}) of "
            f"{len(inside)} known and {len(outside)} unknown images",
            "Return its negative.",
            scorer,
        )


PROMISES: Mapping[str, Callable[[ScoreTrial], None]] = {
    "fits; one finite number an image": fits_and_scores,
    "same input, same bits": is_deterministic,
    "inputs untouched": leaves_inputs_alone,
    "image by image": scores_image_by_image,
    "declared needs": declares_what_it_uses,
    "no test data reachable": reads_no_test_data,
    "higher = known": is_higher_for_the_known,
}
"""Every promise of a score, in the order in which it is worth knowing."""


def check(trial: ScoreTrial) -> Iterator[Promise]:
    """Every promise; where it does not even give scores, no more than that."""
    _ = trial.outputs  # not within an author's time
    return promises.kept(PROMISES, trial, lambda: one_run(trial.trial.spec.seed, trial.bench.limits), 1)
