"""The four folders that everything reads or writes, each with one variable and one default."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from croftbench import mirrors
from croftbench.defaults import CACHE, DATA, MANIFESTS, RESULTS
from croftbench.suites import shelves
from croftbench.suites.shelves import Shelves

if TYPE_CHECKING:
    from croftbench.data.roots import Roots
    from croftbench.suites.language import Suite

Folder = str | Path | None
"""A folder, or None for its variable's value, or its default where the variable is not set. Results and cache may be
URLs, as in "s3://bucket/folder": see croftbench.mirrors."""


@dataclass(frozen=True)
class Folders:
    """Where things are.

    Attributes:
        results: runs, and all that is derived from them.
        cache: features, outputs, descriptions of methods and encoders: never needed, only faster.
        data: the user's datasets, only read; None where only what ships is needed.
        manifests: the user's own, before the package's; those of suites that were run from files, after them.
    """

    results: Path
    cache: Path
    data: Path | None
    manifests: Shelves

    @classmethod
    def of(
        cls, results: Folder = None, cache: Folder = None, data_root: Folder = None, manifests: Folder = None
    ) -> Folders:
        """The folders that are given; for each that is not, its variable, then its default. All from
        the root on.

        Args:
            results, cache, data_root: folders; results at a URL are fetched into their mirror.
            manifests: a folder of manifests or a suite's file, or several with os.pathsep between.

        Raises:
            UsageError: there are no manifests where it says, or no such store.
            DataError: a store cannot be reached.
        """
        told = str(manifests if manifests is not None else os.environ.get(MANIFESTS, ""))
        own = tuple(shelves.checked(Path(one).expanduser()) for one in told.split(os.pathsep) if one)
        runs = _chosen(results, RESULTS, mirrors.RESULTS) or Path("results").absolute()
        mirrors.pull(runs)
        store = _chosen(cache, CACHE, mirrors.CACHE) or platformdirs.user_cache_path("croftbench")
        return cls(runs, store, _chosen(data_root, DATA), Shelves.of(own, runs))

    def behind(self, suite: Suite) -> Folders:
        """The same, with the data sets that the suite's own file carries before all others."""
        behind = shelves.behind(Path(suite.home), self.manifests) if suite.home else self.manifests
        return self if behind is self.manifests else replace(self, manifests=behind)

    @cached_property
    def roots(self) -> Roots:
        """Where images come from.

        Raises:
            DataError: the data folder is not there, or may not be read.
        """
        from croftbench.data.roots import Roots

        return Roots(self.data, self.manifests)


def _chosen(given: Folder, variable: str, mirrored: str = "") -> Path | None:
    """The folder that is given, or that a variable names; the mirror of one that is a URL, where that may be one."""
    value = given if given is not None else os.environ.get(variable)
    if value and mirrored and mirrors.is_url(value):
        return mirrors.mirror(value, mirrored)
    return Path(value).expanduser().absolute() if value else None
