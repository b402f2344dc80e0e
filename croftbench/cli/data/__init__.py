"""`croftbench data`: what is on this disk, whether it is what it should be, and how to get what is not.

Nothing but `get` writes anything, and `get` only into new folders of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from croftbench.cli.console import note, out
from croftbench.cli.data import describe, status
from croftbench.cli.data import verify as verifying
from croftbench.cli.data.verify import Split, print_places
from croftbench.cli.help import epilog, group
from croftbench.cli.options import DataRoot, Manifests
from croftbench.data.description import parts_of
from croftbench.data.get.fetch import Fetched, fetch, staging
from croftbench.data.roots import Roots
from croftbench.data.verify import verify
from croftbench.errors import DataError, UsageError
from croftbench.progress import Bars
from croftbench.suites.families import Family

app = group("Data sets: what is here, is it whole, how to get it. Only `get` writes: a new folder of its own.")
app.command("status", epilog=epilog("croftbench data status --data-root ~/data"))(status.status)
app.command("verify", epilog=epilog("croftbench data verify pacs --deep"))(verifying.verify)
app.command("describe", epilog=epilog("croftbench data describe setup1"))(describe.describe)


@app.command(epilog=epilog("croftbench data get pacs --data-root ~/data"))
def get(
    split: Split,
    data_root: DataRoot = None,
    manifests: Manifests = None,
) -> None:
    """Fetch a data set into a new folder under the data root, or say how to get it by hand."""
    family, parts = parts_of(split, manifests)
    if family.shipped:
        out.print(f"{family.name} ships with croftbench; there is nothing to get.", markup=False)
        return
    if data_root is None:
        raise UsageError("`data get` needs to know where to put it.", "Say --data-root FOLDER, or set CROFTBENCH_DATA.")
    roots = Roots(data_root, manifests)
    if all((located := roots.locate(family.split_id(part.name))) and located.verdict.usable for part in parts):
        place = roots.occurrences(family.name)[0]
        out.print(f"{family.name} is complete already: {place.layout.name} in {data_root / place.at}.", markup=False)
        return
    if family.get.via in ("hand", ""):
        _by_hand(family, data_root)
        raise DataError(f"{family.name} cannot be fetched by a program.", "Follow the steps above.")
    done = _fetch(family, data_root)
    _verify(family, Roots(data_root, manifests), done)


def _by_hand(family: Family, root: Path) -> None:
    """Print where a user must go, and where to put what is found there."""
    out.print(f"{family.name}: {family.title}", markup=False)
    out.print(f"Licence: {family.licence}", markup=False)
    out.print(f"1. {family.get.say or 'Get it from its owners.'} {family.homepage}", markup=False)
    for archive in family.archives:
        digest = f"sha256 {archive.sha256}" if archive.sha256 else f"md5 {archive.md5}" if archive.md5 else ""
        out.print(f"   {archive.file}  {digest}".rstrip(), markup=False)
    out.print(f"2. Unpack it below {root}, in any of the layouts that are known.", markup=False)
    print_places(family, root)
    out.print(f"3. `croftbench data verify {family.name}`", markup=False)


def _fetch(family: Family, root: Path) -> Fetched:
    note(f"{family.title}. Licence: {family.licence}")
    if not sys.stderr.isatty():
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
    try:
        with Bars() as bars:
            done = fetch(family, root, bars)
    except DataError as error:
        raise DataError(error.message, f"{error.hint} By hand: {family.homepage}".strip()) from error
    except KeyboardInterrupt:
        note(f"What has arrived waits in {staging(family, root)}; the same command goes on from there.")
        raise
    for folder in done.folders:
        out.print(f"{family.name} is now in {folder}, from {done.source}.", markup=False)
    for name in done.unchecked:
        out.print(f"{name} could not be checked: nobody published its digest.", markup=False)
    return done


def _verify(family: Family, roots: Roots, done: Fetched) -> None:
    """Compare what was fetched with the manifest; a source need not have every split of the family."""
    new = {folder.name for folder in done.folders}
    fetched = [found for found in roots.occurrences(family.name) if found.at.split("/")[0] in new]
    parts = [part for part in family.parts if any(part.name in found.parts for found in fetched)]
    if not parts:
        raise DataError(f"what came from {done.source} is in no layout that {family.name} is known in.", "Report this.")
    verifying.print_reports([verify(roots, family, part, Bars()) for part in parts])
