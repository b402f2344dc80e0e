"""The whole contract between a method and the suite; no implementation.

A method is a frozen dataclass of hyper-parameters with `needs` and `fit(task) -> predictor`. It sees training data,
class names and text; it never sees a test image, a path or a test label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from croftbench.towers import ImageTower as ImageTower
from croftbench.towers import Inside as Inside
from croftbench.towers import Projection as Projection
from croftbench.towers import TextTower as TextTower
from croftbench.towers import Towers as Towers


def later(default: object) -> Any:
    """A hyper-parameter that a method was given after runs were recorded; its default is what they did before.

    A run's record holds it only where it is set, so that those runs are found again. Write `x: float = later(0.5)`.
    """
    return field(default=default, metadata={"later": True})


Image = Literal["features", "patches", "unprojected", "unprojected-patches", "tower"]
"""What an image can be given as; see `Needs`."""


@dataclass(frozen=True)
class Needs:
    """What the runner must provide; the runner provides exactly that.

    Attributes:
        image: what an image is given as. "features": (B, D) from the cache. "patches": (B, 1 + P, D), the feature,
            then those of P places in the image, in the same space. "unprojected": (B, W), what `Towers.projection`
            makes the feature of. "unprojected-patches": (B, 1 + P, W), of an image transformer, what it makes "patches"
            of. "tower": (B, 3, H, W) pixels, and the image transformer to back-propagate through.
        text: "embeddings" (C, D) from the cache, or "tower": the frozen text tower to back-propagate through.
        train: False for a method that learns nothing: no training image is encoded, `Task.train` is empty.
        transductive: True where an image's outputs depend on the others that are predicted with it; a test split is
            then predicted as a whole, and tables say so.
        otherwise: what an image is given as by an encoder that lacks `image`; "" where the method cannot do without.
            `Towers.unprojected` tells the method which it was.

    An encoder that lacks what is needed (a ResNet has no image transformer) is left out where all methods are asked
    for, and an error where this one is.
    """

    image: Image = "features"
    text: Literal["embeddings", "tower"] = "embeddings"
    train: bool = True
    transductive: bool = False
    otherwise: Image | Literal[""] = ""


@dataclass(frozen=True)
class Outputs:
    """What a predictor returns for B images: real numbers of any type, which are read as float32.

    Attributes:
        logits: (B, C) class scores, already multiplied by the logit scale.
        features: (B, D) unit-norm image features, for scorers that look at them.
        classes: (C, D) unit-norm class features w, where logits = s features w^T; None where they are of another
            form, and scorers that change the features and classify again do not apply.
        scores: detection scores that only this method can give, by name: (B,), higher = more in-distribution.
    """

    logits: Tensor
    features: Tensor
    classes: Tensor | None = None
    scores: Mapping[str, Tensor] = field(default_factory=dict)


Recipes = Mapping[str, Mapping[str, object]]
"""A method's named recipes: name -> what each sets of its hyper-parameters; see `Method`."""

Predictor = Callable[[Tensor], Outputs]
"""(B, D) raw image features, or what `Needs.image` says instead -> Outputs. No gradient is asked of it."""


@runtime_checkable
class Renamable(Protocol):
    """A predictor that can also tell classes apart that it was not trained on, given their names."""

    def __call__(self, features: Tensor, /) -> Outputs:
        """As any predictor, for the classes that it was trained on."""
        ...

    def with_classes(self, classnames: tuple[str, ...], text: Tensor, /) -> Predictor:
        """The same for other classes: C' names and their text features, (C', D), as `Task.text` defines them."""
        ...


@dataclass(frozen=True)
class Examples:
    """Labelled images.

    Attributes:
        views: (V, N, D) raw features of the frozen encoder, (V, N, W) with image="unprojected" and
            "unprojected-patches"; `views[v]` are the N images under seeded augmentation v. Epoch e reads view e mod V.
            Validation data have V = 1, without augmentation.
        labels: (N,) int64, positions in `Task.classnames`.
        domains: (N,) int64 domain of each image; all 0 where a suite has none.
        read: with image="patches", "unprojected-patches" or "tower", what `batch` reads from the disk: places and
            pixels do not fit in memory. Else None.
    """

    views: Tensor
    labels: Tensor
    domains: Tensor
    read: Callable[[int, Tensor], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, view: int, rows: Tensor) -> Tensor:
        """What `Needs.image` says of the images at positions `rows` (B,), under augmentation `view`.

        Returns:
            (B, D) raw features; (B, 1 + P, D) with image="patches", (B, W) with "unprojected", (B, 1 + P, W) with
            "unprojected-patches", (B, 3, H, W) pixels with "tower".
        """
        return self.views[view][rows] if self.read is None else self.read(view, rows)


@dataclass(frozen=True)
class Task:
    """All that a method may learn from. There is no test data in it.

    Attributes:
        classnames: C names, in label order.
        domains: names of the training domains, which `Examples.domains` counts; one "" where a suite has none.
        train: few-shot training images.
        val: held-out images of the training distribution, or None where the suite has none.
        text: (C, D) text features. One template: the raw embedding. Several: the unit-norm mean of their unit-norm
            embeddings (CRoFT's prompts, protocol of Setup-I).
        raw_text: (C, D) mean over the templates of the raw embeddings, whatever their lengths: `text` where there is
            one template. None stands for `text`.
        templates: the prompts behind `text`, `{}` for the class name.
        logit_scale: s, what cosines are multiplied by (CLIP's learned exp(logit_scale)).
        seed: seeds every draw of the method; `generator()` gives a fresh stream from it.
        towers: what `needs` declared beyond features and embeddings.
        device: where all tensors are.
        on_epoch: called with (epoch, epochs, loss) after each epoch, for the progress bar.
    """

    classnames: tuple[str, ...]
    train: Examples
    val: Examples | None
    text: Tensor
    logit_scale: float
    seed: int
    towers: Towers = field(default_factory=Towers)
    domains: tuple[str, ...] = ("",)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    on_epoch: Callable[[int, int, float], None] = lambda epoch, epochs, loss: None
    raw_text: Tensor | None = None
    templates: tuple[str, ...] = ()

    def generator(self) -> torch.Generator:
        """A CPU generator at the start of this task's stream: draw on the CPU, then move, and devices agree."""
        return torch.Generator().manual_seed(self.seed)


@runtime_checkable
class Method(Protocol):
    """A frozen dataclass of hyper-parameters that can be fitted.

    Attributes:
        needs: what the runner must provide.
        version: raised whenever the same hyper-parameters give other numbers; part of a run's identity.

    It may also have `recipes: ClassVar`, name -> hyper-parameters, each a value or, where it depends on the number of
    shots, a mapping from the least number to the value: `{"authors": {"lr": 0.001, "epochs": {1: 50, 8: 200}}}`.
    """

    needs: ClassVar[Needs]
    version: ClassVar[int]

    def fit(self, task: Task, /) -> Predictor:
        """Train on `task` and return the classifier."""
        ...
