"""The report: one self-contained HTML page of every suite's joint table, its pictures and its run cards.

Everything in it comes from the runs; it loads nothing. Names from plug-ins and imported runs are escaped by Jinja2, and
a content security policy lets no script run but the page's own. The same runs give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from croftbench import __version__
from croftbench.data.roots import Roots
from croftbench.files import write_atomically
from croftbench.report import abreast, templates
from croftbench.suites.language import Suite

COMMITTED = Path("report/index.html")
"""Where a repository of results keeps its page."""


def write(
    results_dir: Path, suites: Sequence[Suite], folder: Path, cache: Path | None = None, roots: Roots | None = None
) -> Path:
    """Write `index.html` into the folder, replacing an older one. Sections that this, or the page that lies with the
    results, has as they would be are not made again.

    Raises:
        DataError: see `tables.leaderboard`; or the folder cannot be written to.
    """
    path = folder / "index.html"
    write_atomically(path, render(results_dir, suites, cache, roots, [results_dir / COMMITTED, path]))
    return path


def render(
    results_dir: Path, suites: Sequence[Suite], cache: Path | None = None, roots: Roots | None = None,
    older: Sequence[Path] = (),
) -> str:  # fmt: skip
    """The page's HTML; sections that `older` ones have are not made again.

    Raises:
        DataError: see `tables.leaderboard`.
    """
    script = templates.source("page.js")
    return templates.render(
        "page.html",
        sections=abreast.sections(results_dir, suites, cache, roots, older),
        version=__version__,
        style=templates.source("page.css"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
