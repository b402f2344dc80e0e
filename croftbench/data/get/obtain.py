"""From "this data set, please" to a verified folder: whether it is here, how it comes, whether it came whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from croftbench.data import snapshots
from croftbench.data.get.fetch import Fetched, fetch, staging
from croftbench.data.get.where import expected_paths
from croftbench.data.roots import Roots
from croftbench.data.verify import Verified, verify
from croftbench.errors import DataError, UsageError
from croftbench.progress import Progress
from croftbench.suites.families import Family, Part


@dataclass(frozen=True)
class Obtained:
    """A data set that is on this machine now.

    Attributes:
        family: which.
        at: where it was already, in words; "" where it was fetched.
        fetched: what the download left, or None where there was nothing to do.
        verified: how what came compares with the manifest, or None.
    """

    family: Family
    at: str = ""
    fetched: Fetched | None = None
    verified: Verified | None = None


class ByHandError(DataError):
    """A data set that no program may fetch.

    Attributes:
        steps: lines that say what a person does.
    """

    def __init__(self, family: Family, root: Path) -> None:
        super().__init__(
            f"{family.name} cannot be fetched by a program.", f"`croftbench data get {family.name}` prints the steps."
        )
        self.steps = tuple(_steps(family, root))


def obtain(family: Family, parts: Sequence[Part], roots: Roots, progress: Progress) -> Obtained:
    """Make sure that these parts of a family are here; what is whole already is not fetched again.

    Raises:
        UsageError: no data folder is known.
        ByHandError: its owners want a person to fetch it.
        DataError: the download fails, as `fetch` says; or what came is in no layout that is known.
    """
    if family.shipped:
        return Obtained(family, "in the package")
    root = roots.root(family.name)
    if family.root.startswith(snapshots.HUB) and snapshots.local(family.root) is None:
        progress.note(f"fetching {family.root} into the hub's own cache ...")
        where, fresh = snapshots.fetch(family.root), Roots(roots.data, roots.manifests)
        return Obtained(family, str(where), verified=verify(fresh, family, parts, progress))
    if root is None:
        raise UsageError("`data get` needs to know where to put it.", "Say --data-root FOLDER, or set CROFTBENCH_DATA.")
    if all((located := roots.locate(family.split_id(part.name))) and located.verdict.usable for part in parts):
        place = roots.occurrences(family.name)[0]
        return Obtained(family, f"{place.layout.name} in {root / place.at}")
    if family.get.via in ("hand", ""):
        raise ByHandError(family, root)
    progress.note(f"{family.title}. Licence: {family.licence}")
    try:
        done = fetch(family, root, progress)
    except DataError as error:
        raise DataError(error.message, f"{error.hint} By hand: {family.homepage}".strip()) from error
    except KeyboardInterrupt:
        progress.note(f"What has arrived waits in {staging(family, root)}; the same command goes on from there.")
        raise
    return Obtained(family, fetched=done, verified=_verified(family, Roots(root, roots.manifests), done, progress))


def _verified(family: Family, roots: Roots, done: Fetched, progress: Progress) -> Verified:
    """What was fetched against the manifest; a source need not have every split of the family."""
    new = {folder.name for folder in done.folders}
    fetched = [found for found in roots.occurrences(family.name) if found.at.split("/")[0] in new]
    parts = [part for part in family.parts if any(part.name in found.parts for found in fetched)]
    if not parts:
        raise DataError(f"what came from {done.source} is in no layout that {family.name} is known in.", "Report this.")
    return verify(roots, family, parts, progress)


def _steps(family: Family, root: Path) -> list[str]:
    """Where a user must go, and where to put what is found there."""
    lines = [f"{family.name}: {family.title}", f"Licence: {family.licence}"]
    lines.append(f"1. {family.get.say or 'Get it from its owners.'} {family.homepage}")
    for archive in family.archives:
        digest = f"sha256 {archive.sha256}" if archive.sha256 else f"md5 {archive.md5}" if archive.md5 else ""
        lines.append(f"   {archive.file}  {digest}".rstrip())
    lines.append(f"2. Unpack it below {root}, in any of the layouts that are known.")
    lines.append("It is looked for in:")
    lines += [f"  {root / path}  ({layout})" for layout, path in expected_paths(family)]
    return [*lines, f"3. `croftbench data verify {family.name}`"]
