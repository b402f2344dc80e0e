"""The parts of a frozen encoder that a method may be given, as it sees them; read by way of `croftbench.method`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from croftbench.errors import UsageError

Hook = Callable[[int, slice, Tensor], Tensor]
"""(block, rows, (B, n, W)) -> a tensor. Blocks count from 0; `rows` are the B images or texts, of all that are encoded:
memory is bounded by encoding some at a time, and by calling a hook again in the backward pass, with the same arguments.
"""


@dataclass(frozen=True)
class Inside:
    """What a method does inside a frozen tower's blocks.

    Attributes:
        tokens: gives what enters a block instead of its tokens, (B, n, W): how deep prompts take their place.
        attention: of a block's normalised tokens (B, n, W), what is added to queries, keys and values, (B, n, 3 W).
    """

    tokens: Hook | None = None
    attention: Hook | None = None


class TextTower(Protocol):
    """A frozen causal text transformer that gradients pass through.

    Attributes:
        width: W, the size of a token embedding.
        blocks: how many blocks it has.
    """

    width: int
    blocks: int

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token embeddings of each text, without its start token.

        Returns:
            (C, L, W) embeddings of the words, punctuation and end token, right-padded with the padding token's
            embedding to the longest text; (C,) position of each end token in them.
        """
        ...

    def start(self) -> Tensor:
        """(1, W) embedding of the start token."""
        ...

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor, inside: Inside | None = None) -> Tensor:
        """Text features of the prompts `[shared, rest[c]]`, read at each end token.

        Args:
            shared: (S, W) token embeddings that all prompts begin with, start token included; or (B, S, W), B
                different beginnings, each combined with every `rest`.
            rest: (C, L, W) what follows, one row a class.
            end: (C,) position of the end token in `rest`.
            inside: what happens in its blocks, to C prompts of S + L tokens; with one beginning only.

        Returns:
            (C, D) raw text features, or (B, C, D).
        """
        ...


class ImageTower(Protocol):
    """A private copy of an image transformer, read at its class token, that gradients pass through.

    On CUDA it computes in bfloat16 where a gradient is asked for, as text towers do with `inside`; else in float32.

    Attributes:
        width: W, the size of a token.
        blocks: how many blocks it has.
    """

    width: int
    blocks: int

    def encode(self, pixels: Tensor, prompts: Tensor | None = None, inside: Inside | None = None) -> Tensor:
        """Image features.

        Args:
            pixels: (B, 3, H, W) as `Examples.batch` and predictors give them.
            prompts: (n, W) tokens that stand behind those of every image from the first block on.
            inside: what happens in its blocks, to 1 + P + n tokens an image: class token, places, prompts.

        Returns:
            (B, D) raw features.
        """
        ...


@dataclass(frozen=True)
class Projection:
    """The last map of an image tower: feature = x weight + bias, of what comes before it.

    Attributes:
        weight: (W, D).
        bias: (D,), or None where there is none.
    """

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(..., W) -> (..., D) raw features, of images or of their places."""
        feature = x @ self.weight
        return feature if self.bias is None else feature + self.bias


class Towers:
    """The frozen towers, guarded: touching one that was not declared is an error that names the fix."""

    def __init__(
        self, text: TextTower | None = None, image: ImageTower | None = None, projection: Projection | None = None
    ) -> None:
        self._text, self._image, self._projection = text, image, projection

    @property
    def text(self) -> TextTower:
        """The text tower.

        Raises:
            UsageError: the method did not declare it.
        """
        if self._text is None:
            raise UsageError(
                "the method uses the text tower without declaring it.",
                'Write needs = Needs(text="tower") in its class.',
            )
        return self._text

    @property
    def image(self) -> ImageTower:
        """The image tower.

        Raises:
            UsageError: the method did not declare it.
        """
        if self._image is None:
            raise UsageError(
                "the method uses the image tower without declaring it.",
                'Write needs = Needs(image="tower") in its class.',
            )
        return self._image

    @property
    def unprojected(self) -> bool:
        """Whether images are given as they are before `projection`; where `Needs.otherwise` was taken, they are not."""
        return self._projection is not None

    @property
    def projection(self) -> Projection:
        """The image tower's last map.

        Raises:
            UsageError: the method did not declare it.
        """
        if self._projection is None:
            raise UsageError(
                "the method uses the image tower's projection without declaring it.",
                'Write needs = Needs(image="unprojected") in its class.',
            )
        return self._projection
