"""Where images come from: the package, and the user's data folder, which is read and never written to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from croftbench.data import snapshots
from croftbench.data.pool import Pool
from croftbench.data.scan import layouts, shipped
from croftbench.data.scan.listing import Listing, Occurrence, Verdict, judge
from croftbench.data.scan.shards import Shards, shard_of
from croftbench.data.scan.shipped import Row
from croftbench.data.scan.tree import Tree
from croftbench.errors import DataError
from croftbench.files import digest
from croftbench.suites import registry, shelves
from croftbench.suites.families import Family, Part
from croftbench.suites.language import Suite
from croftbench.suites.shelves import Where


@dataclass(frozen=True)
class Located:
    """A split as it was found.

    Attributes:
        family, part: what was looked for.
        occurrence: where it is, in which layout.
        listing: its images.
        verdict: how they compare with the manifest.
    """

    family: Family
    part: Part
    occurrence: Occurrence
    listing: Listing
    verdict: Verdict

    @property
    def paths(self) -> tuple[str, ...]:
        """Of its images, as pools name them: from the data root, or within the shipped table."""
        return self.listing.located


class Roots:
    """Finds splits and reads their images; what was found is remembered.

    Args:
        data: the user's data folder; None where only what ships is needed.
        manifests: the user's own manifests; None for the package's alone.

    Raises:
        DataError: the data folder is not there, or may not be read.
    """

    def __init__(self, data: Path | None = None, manifests: Where = None) -> None:
        if data is not None and not (data.is_dir() and os.access(data, os.R_OK | os.X_OK)):
            raise DataError(f"there is no data folder {data} to read.", "Check --data-root, or CROFTBENCH_DATA.")
        self.data, self.manifests = data, manifests
        self._roots: dict[str, Path | None] = {}
        self._trees: dict[Path, Tree] = {}
        self._stores: dict[Path, Shards] = {}
        self._occurrences: dict[str, list[Occurrence]] = {}
        self._rows: dict[str, tuple[Row, ...]] = {}
        self._sizes: dict[str, int] = {}

    def behind(self, suite: Suite) -> Roots:
        """The same, with the data sets that the suite's own file carries before all others."""
        manifests = shelves.behind(Path(suite.home), self.manifests) if suite.home else self.manifests
        return self if manifests is self.manifests else Roots(self.data, manifests)

    def occurrences(self, family: str) -> list[Occurrence]:
        """Every place where a family is, the best first; see `layouts.occurrences`."""
        if family not in self._occurrences:
            root = self.root(family)
            tree = None if root is None else self._trees.setdefault(root, Tree(root))
            self._occurrences[family] = layouts.occurrences(registry.family(family, self.manifests), tree)
        return self._occurrences[family]

    def locate(self, split_id: str) -> Located | None:
        """A split where it is best: complete if it is so anywhere; None where it is not found."""
        family, part = registry.split(split_id, self.manifests)
        located = [
            Located(family, part, one, listing, judge(family, part, listing))
            for one in self.occurrences(family.name)
            if (listing := one.parts.get(part.name)) is not None
        ]
        return min(located, key=lambda one: (not one.verdict.usable, -len(one.listing)), default=None)

    def split(self, split_id: str) -> Located:
        """A split where it is best.

        Raises:
            UsageError: no manifest knows it. DataError: it is not found; the message says what is missing.
        """
        located = self.locate(split_id)
        if located is not None:
            return located
        family, part = registry.split(split_id, self.manifests)
        root = self.root(family.name)
        if root is None:
            raise DataError(f"{split_id} is not shipped.", "Say where your datasets are: --data-root, CROFTBENCH_DATA.")
        missing = [one for one in self.occurrences(family.name) if part.name in one.absent]
        best = max(missing, key=lambda one: one.near.get(part.name, 0), default=None)
        if best is None or part.name not in best.near:
            reason = "" if best is None else f": {best.absent[part.name]}"
            raise DataError(f"{split_id} is not in {root}{reason}.", f"`croftbench data get {split_id}`")
        why = f"{split_id} is not usable in {root}: {best.absent[part.name]}."
        raise DataError(why, f"`croftbench data verify {split_id}`, or `croftbench data get {split_id}`")

    def rows(self, family: str) -> tuple[Row, ...]:
        """All pictures of a family, part by part.

        Raises:
            DataError: a part is not found.
        """
        if family not in self._rows:
            whole = registry.family(family, self.manifests)
            parts = [self.split(whole.split_id(part.name)) for part in whole.parts]
            self._rows[family] = tuple(row for part in parts for row in _rows(part))
        return self._rows[family]

    def reader(self, family: str) -> Callable[[str], bytes]:
        """A function from the path of a family's image, as pools have it, to its encoded bytes.

        Raises:
            DataError: there is no data folder; or, when called, the file cannot be read.
        """
        for layout in registry.family(family, self.manifests).layouts:
            if layout.kind == "package":
                return shipped.reader(layout.file, layout.sha256)
        return partial(self._from_disk, self._known_root(family))

    def content(self, pool: Pool) -> str:
        """What changes with a pool's bytes: the digest of shipped pixels, or of every file's path, size and time.

        Raises:
            DataError: a file is gone.
        """
        if pool.content or not pool.paths:
            return pool.content
        root = self._known_root(pool.table)
        return digest([_state(root, path) for path in dict.fromkeys(shard_of(path)[0] for path in pool.paths)])

    def size(self, split_id: str) -> int:
        """Bytes of the files that a split's images lie in; looked up once.

        Raises:
            UsageError, DataError: as `split` says; or a file is gone.
        """
        if split_id not in self._sizes:
            located = self.split(split_id)
            root = self._known_root(located.family.name)
            files = dict.fromkeys(shard_of(path)[0] for path in located.paths)
            self._sizes[split_id] = sum(int(_stat(root, path).st_size) for path in files)
        return self._sizes[split_id]

    def root(self, family: str) -> Path | None:
        """The folder that a family's layouts lie below: its own where it has one that is here, else the data folder."""
        if family not in self._roots:
            own = registry.family(family, self.manifests).root
            self._roots[family] = (snapshots.local(own) if own else None) or self.data
        return self._roots[family]

    def _known_root(self, family: str) -> Path:
        root = self.root(family)
        if root is None:
            raise DataError("no data folder was given.", "Say where your datasets are: --data-root, CROFTBENCH_DATA.")
        return root

    def _from_disk(self, root: Path, path: str) -> bytes:
        shard, key = shard_of(path)
        if key:
            return self._stores.setdefault(root, Shards(root)).read(shard, key)
        try:
            return (root / path).read_bytes()
        except OSError as error:
            raise _unreadable(path, error) from error


def _state(root: Path, path: str) -> Sequence[object]:
    state = _stat(root, path)
    return path, state.st_size, state.st_mtime_ns


def _stat(root: Path, path: str) -> os.stat_result:
    try:
        return (root / path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error


def _rows(of: Located) -> list[Row]:
    listing, ids = of.listing, of.family.ids
    if listing.attributes:
        columns = (listing.attributes[name] for name in ("name", "group", "subgroup"))
        return [Row(path, of.part.name, *texts) for path, *texts in zip(of.paths, *columns, strict=True)]
    names = [ids[label] if label >= 0 else "" for label in listing.labels.tolist()]
    return [Row(path, of.part.name, name, "", "") for path, name in zip(of.paths, names, strict=True)]


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(f"cannot read image {path}: {error.strerror}.", "`croftbench data status` shows what is there.")
