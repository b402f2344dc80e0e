"""A whole section of the page that was made before, kept in the cache under the digest of all that it is made of.

A page is mostly written again after some of its suites got runs: the others are as they were.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path

from croftbench import plugins, scorers
from croftbench.data.roots import Roots
from croftbench.draw.draws import Draws
from croftbench.errors import CroftbenchError
from croftbench.files import digest, file_digest
from croftbench.report import drawn
from croftbench.suites import registry
from croftbench.suites.language import Suite


def place(cache: Path | None, results: Path, suite: Suite, roots: Roots | None, number: int) -> Path | None:
    """Where this section of the page is kept; None where it cannot be."""
    if cache is None:
        return None
    try:
        shown = _shown(suite, (roots or Roots()).behind(suite))
    except CroftbenchError as error:  # a data set is not here, as the section says
        shown = [str(error)]
    made_from = [number, asdict(suite), shown, _files(results, suite.name), _named(), drawn.code()]
    return cache / "pictures" / f"section-{digest(made_from)[:16]}.json"


def _shown(suite: Suite, roots: Roots) -> list[object]:
    """What the gallery shows: data sets with their credits, and which images are on this disk."""
    used = sorted({split.partition("/")[0] for fold in suite.folds for split in suite.used(fold, train=True)})
    families = [repr(registry.family(name, roots.manifests)) for name in used]
    return [families, [Draws(suite, roots).content(fold.name, train=False) for fold in suite.folds]]


def _files(results: Path, suite: str) -> list[tuple[str, int, int, int]]:
    """All that is recorded of a suite, and the published rows: name, size, and times of change.

    Read they are once, by the section: one of the times is the system's own, which nobody sets back.
    """
    folders = (results / "runs" / suite, results / "posthoc" / suite, results / "reported")
    found = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # of a run that is being written
            of = path.stat()
            found.append((str(path.relative_to(results)), of.st_size, of.st_mtime_ns, of.st_ctime_ns))
    return sorted(found)


def _named() -> list[object]:
    """What rows are named by: versions of scores, and recipes of methods that are not croftbench's own."""
    found: list[object] = [(name, one.version) for name, one in sorted(scorers.SCORERS.items())]
    for name, target in sorted(plugins.registered().items()):
        if name not in plugins.BUILT_IN:
            try:
                found.append((name, *map(file_digest, plugins.stated.defining_files(target))))
            except CroftbenchError:  # it is not there, so nothing is known of it
                found.append((name,))
    return found
