"""Does a method keep the contract of `croftbench.method`? One function a promise, on a small suite that ships.

What it says is what holds for a method from outside and for those that ship: their tests call this.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from croftbench import blame, plugins
from croftbench.draw.limited import limited
from croftbench.encoders.lazy import ImageFeatures
from croftbench.errors import CroftbenchError, MethodError
from croftbench.method import Needs, Outputs, Predictor, Renamable, Task
from croftbench.plugins import MethodInfo
from croftbench.plugins.parameters import Value
from croftbench.plugins.recipes import at_shots
from croftbench.runs import planning, predict
from croftbench.runs.execute import Workbench
from croftbench.runs.given import IMAGES as IMAGE_NEEDS
from croftbench.runs.given import INSIDE
from croftbench.runs.isolation import calling, one_run
from croftbench.studies import promises
from croftbench.studies.promises import Promise, opened, test_folders
from croftbench.suites import manifest
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.draw.splits import Fold
    from croftbench.runs.spec import RunSpec

SHORT = {"epochs": 2, "batch": 8, "steps": 4}
"""Hyper-parameters that are set for the check, where a method has them: it is to be quick."""
IMAGES, CLASSES = 24, 4


def small(manifests: Path | None = None) -> Suite:
    """Four kinds of food that are known, in a few images each: what methods are checked on."""
    suite = manifest.suite("emoji-open", manifests)
    classes = replace(suite.classes, groups=("Food & Drink",), known=float(CLASSES))
    protocol = replace(suite.protocol, shots=2, views=2, seeds=(1,))
    return replace(suite, name="contract", classes=classes, protocol=protocol, recipes={}, authors={}, recipe="authors")


@dataclass
class Trial:
    """One method on the small suite.

    Attributes:
        bench: on `small()`.
        info: the method.
    """

    bench: Workbench
    info: MethodInfo

    def __post_init__(self) -> None:
        self.info = planning.on(self.bench.identity, self.info)

    @cached_property
    def spec(self) -> RunSpec:
        """Of its run there."""
        (job,) = planning.plan(self.bench.suite, self.info, self.bench.identity, self.bench.draws.content)
        return job.spec

    @cached_property
    def fold(self) -> Fold:
        """Few images."""
        return limited(self.bench.fold_of(self.spec, self.info), IMAGES)

    @cached_property
    def images(self) -> ImageFeatures:
        """Of known classes, as the method needs them."""
        return self.bench.test_images("id", self.fold.id, self.info.image)

    @property
    def task(self) -> Task:
        """A new one, of tensors that are nobody else's."""
        task = self.bench.task(self.fold, self.spec, self.info)
        train = replace(task.train, views=task.train.views.clone(), labels=task.train.labels.clone())
        return replace(task, train=train, text=task.text.clone())

    def params(self, *layers: Mapping[str, Value]) -> dict[str, Value]:
        """The method's own hyper-parameters, with fewer epochs."""
        return self.info.resolve(*layers, {k: v for k, v in SHORT.items() if k in self.info.params})

    def fit(self, task: Task | None = None, *layers: Mapping[str, Value]) -> Predictor:
        """The method, fitted."""
        method = plugins.build(self.info, self.params(*layers))
        return predict.fit(method, self.task if task is None else task, self.info)

    def outputs(self, predictor: Predictor, images: ImageFeatures | None = None, classes: int = 0) -> Outputs:
        """What a predictor says of images, checked as every run checks it."""
        shown = self.images if images is None else images
        scale = self.bench.identity.logit_scale
        return predict.joined(predict.predict(predictor, shown, classes or len(self.fold.classnames), scale, self.info))

    def broken(self, message: str, hint: str, begins: Any = None) -> MethodError:
        """A promise that is not kept, with the line where what breaks it begins."""
        return MethodError(message, hint, blame.defined(self.info.author if begins is None else begins))


# ------------------------------------------------------------------------------------------- promises


def is_described(trial: Trial) -> None:
    """It has needs that can be met, and hyper-parameters with defaults that a run can record."""
    needs: Needs = trial.info.author.needs  # type: ignore[attr-defined]
    images = {needs.image, needs.otherwise or needs.image}
    if not images <= {*IMAGE_NEEDS} or needs.text not in ("embeddings", "tower"):
        known = ", ".join(map(repr, IMAGE_NEEDS))
        hint = f"image, and otherwise if there is one: of {known}; text: 'embeddings' or 'tower'."
        raise trial.broken(f"it needs {needs}", hint)
    plugins.build(trial.info, trial.info.resolve())


def fits_and_predicts(trial: Trial) -> None:
    """Outputs have the promised shapes, are finite, and of unit length; needs that it uses are declared."""
    trial.outputs(trial.fit())


def follows_its_seed(trial: Trial) -> None:
    """Fitted twice it gives the same bits, whatever was drawn from global streams in between."""
    first = trial.outputs(trial.fit())
    torch.rand(3)
    second = trial.outputs(trial.fit())
    if not torch.equal(first.logits, second.logits):
        worst = float((first.logits - second.logits).abs().max())
        raise trial.broken(
            f"fitted twice with one seed it gives other logits, by up to {worst:.3g}",
            "Draw from task.generator(), and from no global stream.",
        )


def leaves_inputs_alone(trial: Trial) -> None:
    """What it is given is as it was, after fitting and after predicting."""
    task = trial.task
    seen = {"task.train.views": task.train.views, "task.train.labels": task.train.labels, "task.text": task.text}
    before = {name: tensor.clone() for name, tensor in seen.items()}
    predictor = trial.fit(task)
    for name, tensor in seen.items():
        if not torch.equal(before[name], tensor):
            raise trial.broken(f"fit writes on {name}", f"Work on a copy: {name}.clone().")
    images = trial.images[:8].clone()
    kept = images.clone()
    with calling(trial.info.author, predictor):
        predictor(images)
    if not torch.equal(images, kept):
        raise trial.broken("the predictor writes on the features it is given", "Work on a copy.", predictor)


def answers_image_by_image(trial: Trial) -> None:
    """An image's outputs do not depend on those beside it, unless it says that it is transductive."""
    if trial.info.transductive:
        return
    predictor, whole = trial.fit(), trial.images[:8]
    alone = torch.cat([trial.outputs(predictor, whole[i : i + 1]).logits for i in range(len(whole))])
    if not torch.allclose(alone, trial.outputs(predictor, whole).logits, rtol=1e-4, atol=1e-3):
        hint = "Use nothing of the batch, or declare Needs(transductive=True)."
        raise trial.broken("an image's logits depend on the images beside it", hint, predictor)


def takes_other_names(trial: Trial) -> None:
    """Where its predictor has `with_classes`, it is the classifier of those names."""
    task = trial.task
    predictor = trial.fit(task)
    if not isinstance(predictor, Renamable):
        return
    order = [2, 0]
    with calling(trial.info.author, predictor.with_classes):
        renamed = predictor.with_classes(tuple(task.classnames[i] for i in order), task.text[order])
    expected = trial.outputs(predictor).logits[:, order]
    if not torch.allclose(trial.outputs(renamed, classes=2).logits, expected, rtol=1e-4, atol=1e-3):
        hint = "Given two of the class names, it gives those two columns of the logits."
        raise trial.broken("with_classes does not give the classifier of those names", hint, predictor.with_classes)


def leaves_towers_frozen(trial: Trial) -> None:
    """The encoder, where a method has to do with it, is never trained."""
    if trial.info.text != "tower" and trial.info.image not in INSIDE:
        return
    model = trial.bench.features.encoder.model
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    trial.fit()
    for name, p in model.named_parameters():
        if not torch.equal(weights[name], p) or p.grad is not None:
            raise trial.broken(f"fit trains {name} of the frozen encoder", "Train tensors of your own only.")


def reads_no_test_data(trial: Trial) -> None:
    """While it is fitted it opens no file that holds test images or their features."""
    task, method = trial.task, plugins.build(trial.info, trial.params())
    with opened() as paths:
        predict.fit(method, task, trial.info)
    if task.train.read is not None:  # from the cache, or decoded, by `task.train.batch`
        return
    for path in paths:
        if path.startswith(tuple(test_folders(trial.bench))):
            raise trial.broken(f"fit opens {path}, where test images are", "All that it may know is in `task`.")


def trains_by_its_recipes(trial: Trial) -> None:
    """Every recipe that it declares can be run by."""
    for name, recipe in trial.info.recipes.items():
        try:
            trial.outputs(trial.fit(trial.task, at_shots(recipe, trial.spec.shots)))
        except CroftbenchError as error:
            raise type(error)(f"by its recipe '{name}': {error.message.rstrip('.')}", error.hint) from error


PROMISES: Mapping[str, Callable[[Trial], None]] = {
    "is a frozen dataclass with defaults": is_described,
    "fits; shapes, types, unit length": fits_and_predicts,
    "same seed, same bits": follows_its_seed,
    "inputs untouched": leaves_inputs_alone,
    "image by image": answers_image_by_image,
    "no test data reachable": reads_no_test_data,
    "frozen towers": leaves_towers_frozen,
    "other class names": takes_other_names,
    "its recipes": trains_by_its_recipes,
}
"""Every promise of a method, in the order in which it is worth knowing."""


def check(trial: Trial) -> Iterator[Promise]:
    """Every promise; where it does not even fit and predict, no more than that."""
    return promises.kept(PROMISES, trial, lambda: one_run(trial.spec.seed, trial.bench.limits), 2)


@dataclass(frozen=True)
class Cost:
    """What a method takes here: seconds to fit and to predict, and megabytes that memory grew by."""

    fit: float
    predict: float
    memory: float


def cost(trial: Trial) -> Cost:
    """Measured once, on few images."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with one_run(trial.spec.seed, trial.bench.limits):
        task, method = trial.task, plugins.build(trial.info, trial.params())
        start = time.perf_counter()
        predictor = predict.fit(method, task, trial.info)
        between = time.perf_counter()
        trial.outputs(predictor)
        end = time.perf_counter()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Cost(between - start, end - between, grown / (1e6 if sys.platform == "darwin" else 1e3))
