"""A whole section of the page that was made before, kept under the digest of all that it is made of: in the cache, and
in the page itself, which a copy of a repository brings along.

A page is mostly written again after some of its suites got runs: the others are as they were.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from markupsafe import Markup

from croftbench import plugins, scorers
from croftbench.data.roots import Roots
from croftbench.draw.draws import Draws
from croftbench.errors import CroftbenchError, DataError
from croftbench.files import digest, file_digest, recall, remember
from croftbench.report import drawn
from croftbench.suites import registry
from croftbench.suites.language import Suite

_MARKED = re.compile(r"<!--section ([0-9a-f]{64}) ([0-9a-f]{64})-->\n(.*?)\n<!--/section-->", re.DOTALL)
"""As page.html has it: `key`, the digest of the section's HTML, and that; everything in it is escaped, so that no name
can begin or end one."""


@dataclass(frozen=True)
class Section:
    """A suite's section of the page: what its HTML is made of, and that; both digests are for `of_pages`."""

    key: str
    name: str
    html: str

    @property
    def digest(self) -> str:
        """Of the HTML: what was changed by hand is made again."""
        return digest(self.html)


@dataclass(frozen=True)
class Kept:
    """Sections that were made before.

    Attributes:
        cache: where they are kept; None for nowhere.
        html: those of older pages, by `key`.
    """

    cache: Path | None = None
    html: Mapping[str, str] = field(default_factory=dict)

    def read(self, key: str, name: str) -> Section | None:
        """The section of that key, None where there is none."""
        if (html := self.html.get(key)) is None:
            kept = recall(self._place(self.cache, key)) if self.cache else None
            html = kept["html"] if kept else None
        # rendered, and so escaped, before it was kept
        return None if html is None else Section(key, name, Markup(html))

    def write(self, section: Section) -> None:
        """Keep it, where that is possible."""
        if self.cache:
            remember(self._place(self.cache, section.key), {"html": section.html})

    @staticmethod
    def _place(cache: Path, key: str) -> Path:
        return cache / "pictures" / f"section-{key[:16]}.json"


def of_pages(paths: Iterable[Path]) -> dict[str, str]:
    """Sections of the pages that are there, by their keys, but for those that were changed by hand."""
    found: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            marked = _MARKED.findall(path.read_text("utf-8"))
            found |= {key: html for key, whole, html in marked if digest(html) == whole}
    return found


def key(results: Path, suite: Suite, roots: Roots | None, number: int) -> str:
    """What tells this section of the page from any other: the digest of all that it is made of."""
    try:
        shown = _shown(suite, (roots or Roots()).behind(suite))
    except CroftbenchError as error:  # a data set is not here, as the section says
        shown = [str(error)]
    return digest([number, asdict(suite), shown, _files(results, suite.name), _named(), drawn.code()])


def _shown(suite: Suite, roots: Roots) -> list[object]:
    """What the gallery shows: data sets with their credits, and which images are on this disk."""
    used = sorted({split.partition("/")[0] for fold in suite.folds for split in suite.used(fold, train=True)})
    families = [
        repr(replace(registry.family(name, roots.manifests), root="", lists=Path()))  # wherever these are
        for name in used
    ]
    return [families, [Draws(suite, roots).content(fold.name, train=False) for fold in suite.folds]]


def _files(results: Path, suite: str) -> list[tuple[str, str]]:
    """All that is recorded of a suite, and the published rows: names and digests, which a copy has too.

    To hash them takes a hundredth of the time that it may save, so they are read here and once more by the section.
    """
    folders = (results / "runs" / suite, results / "posthoc" / suite, results / "reported")
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        with contextlib.suppress(DataError):  # a run that is being written
            found.append((path.relative_to(results).as_posix(), file_digest(path)))
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
