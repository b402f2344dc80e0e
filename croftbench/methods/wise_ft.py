"""WiSE-FT: between zero-shot CLIP and a fitted method; wraps any of them, as in wise-ft+croft.

Robust fine-tuning of zero-shot models, CVPR 2022, arXiv 2109.01903.

The paper averages the weights of CLIP before and after fine-tuning. Methods on frozen features meet in the features
instead. For a method whose logits are s z w^T, and zero-shot CLIP's z0 and t0:

    z_a = u( (1-a) z0 + a z ),    w_a = u( (1-a) t0 + a w ),    logits = s z_a w_a^T                      (1)

For one whose logits are of another form (`Outputs.classes` is None), and whose weights have no zero-shot counterpart:

    logits = (1-a) s z0 t0^T + a logits_method,    features z_a                                           (2)

    z0, z   (N, D)  zero-shot and fitted image features     a      `wise_alpha`, 0 is zero-shot, 1 the method
    t0, w   (C, D)  zero-shot and fitted class features     s      logit scale
                                                            u(x)   x / |x|, row by row

(1) is weight averaging where features are linear in the weights, but for lengths. Let an adapter turn f into g = f W,
zero-shot being W = I. Averaged weights give u((1-b) f + b g), and that is (1) for

    b = a |f| / ( (1-a) |g| + a |f| ),

row by row: b = a where the adapter keeps lengths. This covers the text and image adapters of CRoFT and the residual of
TaskRes; for CLIP-Adapter, whose output is mixed with f, (1) is a smaller ratio, b r. Learned prompts act through the
text tower, so there (1) averages what comes out of it, not the prompts. (2) is an ensemble of outputs; for Tip-Adapter
("corrected") it is Tip-Adapter with a alpha for alpha.

A method's own scores (`Outputs.scores`) are of its own classifier and are not passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from croftbench.errors import UsageError
from croftbench.method import Method, Needs, Outputs, Predictor, Recipes, Renamable, Task
from croftbench.training import Renaming, unit

__all__ = ["WiSEFT"]


def mix(zero_shot: Tensor, fitted: Tensor, a: float) -> Tensor:
    """u((1-a) zero_shot + a fitted); the ends are the features themselves."""
    return unit((1 - a) * zero_shot + a * fitted) if 0 < a < 1 else (fitted if a else zero_shot)


@dataclass(frozen=True)
class WiSEFT:
    """A method and its interpolation's hyper-parameter; `croftbench.plugins` lays the method's own beside it.

    Attributes:
        method: what is fitted.
        wise_alpha: a, the paper's alpha; not of that name, for wrapped methods have one.
    """

    version: ClassVar[int] = 1
    # mlfoundations/wise-ft, src/args.py: alpha is 0.5 unless told otherwise. The rest is that of the method inside.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    method: Method
    wise_alpha: float = 0.5

    @property
    def needs(self) -> Needs:
        """The method's; zero-shot CLIP needs nothing beyond."""
        return self.method.needs

    def fit(self, task: Task, /) -> Predictor:
        """Fit the method and return its interpolation with zero-shot CLIP.

        Raises:
            UsageError: a is not in [0, 1].
        """
        a, s = self.wise_alpha, task.logit_scale
        if not 0 <= a <= 1:
            raise UsageError(f"wise_alpha is {a}, not in [0, 1].", "0 is zero-shot CLIP, 1 the fitted method.")
        fitted, image = self.method.fit(task), self.needs.image

        def frozen(f: Tensor) -> Tensor:
            """(B, D) unit features of zero-shot CLIP, of what the method's images are given as."""
            if image == "tower":
                return unit(task.towers.image.encode(f))
            whole = f if f.ndim == 2 else f[:, 0]
            return unit(task.towers.projection(whole) if task.towers.unprojected else whole)

        def predict(f: Tensor, classifiers: tuple[Predictor, Tensor]) -> Outputs:
            of, t0 = classifiers[0](f), classifiers[1]
            z0 = frozen(f)
            z = mix(z0, of.features, a)
            if of.classes is None:
                return Outputs(logits=(1 - a) * s * z0 @ t0.T + a * of.logits, features=z)
            w = mix(t0, of.classes, a)
            return Outputs(logits=s * z @ w.T, features=z, classes=w)

        if not isinstance(fitted, Renamable):
            return lambda f: predict(f, (fitted, unit(task.text)))
        return Renaming(
            lambda names, text: (fitted.with_classes(names, text), unit(text)), predict, task.classnames, task.text
        )
