"""What a detection score may look at, and what it is. No torch at import: naming a score must stay instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from croftbench.errors import UsageError

if TYPE_CHECKING:  # tensors bring their own methods
    from torch import Tensor

    from croftbench.method import Outputs


class NotApplicableError(UsageError):
    """A score has no meaning for a method, or for its training images; the message is the reason, and is recorded."""


class Scorer(Protocol):
    """(Outputs of B images) -> (B,) scores, higher = more in-distribution, on the device of the logits."""

    def __call__(self, outputs: Outputs, /) -> Tensor:
        """The scores of these images; each depends on its own image only, but in a `Stream`."""
        ...


Order = Literal["mixed", "known-first", "unknown-first"]
"""How the images of a stream follow each other: shuffled together, or all of one kind first, shuffled among each other.
"""


@dataclass(frozen=True)
class Stream:
    """A score of a stream: what it says of an image depends on the images that came before, or with it.

    So it is given known and unknown images together, in an order that is recorded (see `runs.streaming`), and has
    another value for an ID image beside every open set.

    Attributes:
        start: () -> a score that has seen nothing yet; it is called with one batch of the stream after another.
        batch: B, images a call.
        order: of the stream.
    """

    start: Callable[[], Scorer]
    batch: int
    order: Order


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
        encode_drawn: a function that is given (height, width) and draws B images, (B, 3, height, width), as the image
            tower takes them -> (B, D) raw features of the frozen encoder.
    """

    def __init__(
        self,
        training: Callable[[], Outputs],
        labels: Tensor,
        logit_scale: float,
        classnames: Sequence[str],
        templates: Sequence[str],
        encode_text: Callable[[Sequence[str]], Tensor],
        encode_drawn: Callable[[Callable[[tuple[int, int]], Tensor]], Tensor] | None = None,
    ) -> None:
        self._training = training
        self.labels = labels
        self.logit_scale = logit_scale
        self.classnames = tuple(classnames)
        self.templates = tuple(templates)
        self.encode_text = encode_text
        self.encode_drawn = encode_drawn

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
