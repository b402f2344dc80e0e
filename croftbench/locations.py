"""The four folders that everything reads or writes, each with one variable and one default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from croftbench.data.roots import Roots

RESULTS = "CROFTBENCH_RESULTS"
CACHE = "CROFTBENCH_CACHE"
DATA = "CROFTBENCH_DATA"
MANIFESTS = "CROFTBENCH_MANIFESTS"

Folder = str | Path | None
"""A folder, or None for its variable's value, or its default where the variable is not set."""


@dataclass(frozen=True)
class Folders:
    """Where things are.

    Attributes:
        results: runs, and all that is derived from them.
        cache: features, outputs, descriptions of methods and encoders: never needed, only faster.
        data: the user's datasets, only read; None where only what ships is needed.
        manifests: another folder of manifests than the package's own, or None.
    """

    results: Path
    cache: Path
    data: Path | None
    manifests: Path | None

    @classmethod
    def of(
        cls, results: Folder = None, cache: Folder = None, data_root: Folder = None, manifests: Folder = None
    ) -> Folders:
        """The folders that are given; for each that is not, its variable, then its default. All from the root on."""
        data, other = _chosen(data_root, DATA), _chosen(manifests, MANIFESTS)
        return cls(
            _chosen(results, RESULTS) or Path("results").absolute(),
            _chosen(cache, CACHE) or platformdirs.user_cache_path("croftbench"),
            data,
            other,
        )

    @cached_property
    def roots(self) -> Roots:
        """Where images come from.

        Raises:
            DataError: the data folder is not there, or may not be read.
        """
        from croftbench.data.roots import Roots

        return Roots(self.data, self.manifests)


def _chosen(given: Folder, variable: str) -> Path | None:
    value = given if given is not None else os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None
