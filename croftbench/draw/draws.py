"""The folds of one suite on this machine, each drawn once and shared by all runs."""

from __future__ import annotations

from functools import cached_property

from croftbench.data.roots import Roots
from croftbench.draw import build
from croftbench.draw.limited import limited
from croftbench.draw.splits import Fold
from croftbench.files import digest
from croftbench.suites import suite_rules
from croftbench.suites.language import Suite


class Draws:
    """Folds by name, seed and shots.

    Args:
        suite: what is drawn from.
        roots: where data are; only those that ship when None.
        allow_incomplete: take splits whose counts are not the manifest's.
    """

    def __init__(self, suite: Suite, roots: Roots | None = None, allow_incomplete: bool = False) -> None:
        self.suite = suite
        self.roots = roots or Roots()
        self.allow_incomplete = allow_incomplete
        self._folds: dict[tuple[str, int, int, bool], Fold] = {}

    def fold(self, name: str, seed: int, shots: int, train: bool = True) -> Fold:
        """One fold; without training images, which then need not be on this disk, where `train` is False.

        Raises:
            DataError: a split is not there, or a class has no image in a role that needs one.
        """
        key = name, seed, shots, train
        if key not in self._folds:
            drawn = build.fold(
                self.suite, name, seed, shots, roots=self.roots, train=train, allow_incomplete=self.allow_incomplete
            )
            self._folds[key] = limited(drawn, self.suite.limit) if self.suite.limit else drawn
        return self._folds[key]

    def content(self, name: str, train: bool) -> str:
        """Digest of the images on this disk that a fold is drawn from, wherever they lie; "" where all of them ship.

        "absent" where one of the fold's splits is not here: no finished run has that, and drawing says what is missing.
        """
        if self.shipped:
            return ""
        spec = next(fold for fold in self.suite.folds if fold.name == name)
        seen = []
        for split in sorted(self.suite.used(spec, train)):
            located = self.roots.locate(split)
            if located is None:
                return "absent"
            if not located.family.shipped:
                seen.append((split, located.listing.digest, self.roots.size(split)))
        return digest(seen)[:12]

    @cached_property
    def shipped(self) -> bool:
        """Whether all images of the suite come with croftbench."""
        return suite_rules.shipped(self.suite, self.roots.manifests)

    def has_training_images(self, name: str) -> bool:
        """Whether a fold's training images are on this disk."""
        parts = next(fold.train for fold in self.suite.folds if fold.name == name)
        return bool(parts) and all(self.roots.locate(part) is not None for part in parts)
