"""What a detection score may look at, and what it is. No torch at import: naming a score must stay instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from croftbench.errors import UsageError

if TYPE_CHECKING:  # tensors bring their own methods
    from torch import Tensor

    from croftbench.method import Outputs


class NotApplicableError(UsageError):
    """A score has no meaning for a method, or for its training images; the message is the reason, and is recorded."""


class Scorer(Protocol):
    """(Outputs of B images) -> (B,) scores, higher = more in-distribution, on the device of the logits."""

    def __call__(self, outputs: Outputs, /) -> Tensor:
        """The scores of these images; each depends on its own image only."""
        ...


class Context:
    """What a score may look at before it sees a test image.

    Args:
        training: what the predictor says of the N training images under the test transform; called when a score
            asks for it, once.
        labels: (N,) their classes.
        logit_scale: s, what cosines are multiplied by in the logits.
        classnames: C names, in label order.
        templates: the suite's prompts, `{}` for a name.
        encode_text: P texts -> (P, D) raw text features of the frozen encoder.
    """

    def __init__(
        self,
        training: Callable[[], Outputs],
        labels: Tensor,
        logit_scale: float,
        classnames: Sequence[str],
        templates: Sequence[str],
        encode_text: Callable[[Sequence[str]], Tensor],
    ) -> None:
        self._training = training
        self.labels = labels
        self.logit_scale = logit_scale
        self.classnames = tuple(classnames)
        self.templates = tuple(templates)
        self.encode_text = encode_text

    @cached_property
    def outputs(self) -> Outputs:
        """Of the N training images.

        Raises:
            NotApplicableError: there is none.
        """
        if not len(self.labels):
            raise NotApplicableError("there is no training image to compare with.")
        return self._training()


def class_features(outputs: Outputs) -> Tensor:
    """(C, D) the class features w that the logits s z w^T are made of.

    Raises:
        NotApplicableError: the method's logits are of another form.
    """
    if outputs.classes is None:
        raise NotApplicableError("its logits are not scaled cosines of image features with class features.")
    return outputs.classes


def norm(x: Tensor) -> Tensor:
    """(..., D) -> (...) Euclidean lengths."""
    return x.square().sum(-1).sqrt()
