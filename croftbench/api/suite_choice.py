"""Which suites a call means: by name, by file, or all with runs; and the copies of own ones that stay with runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from croftbench.errors import UsageError
from croftbench.files import write_atomically
from croftbench.locations import Folders
from croftbench.suites import manifest, shelves
from croftbench.suites.language import Suite

SuiteLike = str | Path | Suite
"""A suite's name, its ".toml" file, or the suite itself."""


def suite_of(suite: SuiteLike, folders: Folders) -> Suite:
    """The suite that is meant.

    Raises:
        UsageError: there is none. ManifestError: its file breaks rules.
    """
    if isinstance(suite, Suite):
        return suite
    name, where = str(suite), folders.manifests
    return manifest.suite(name, shelves.behind(Path(name), where) if name.endswith(".toml") else where)


def keep(suite: Suite, folders: Folders) -> None:
    """Copy a suite's own file beside its runs, so that every command that reads them knows it by name.

    Raises:
        DataError: the results folder cannot be written to.
    """
    home, copy = Path(suite.home), folders.results / "suites" / f"{suite.name}.toml"
    if suite.home and shelves.manifest_path("suites", suite.name, folders.manifests) in (home, copy) and home != copy:
        content = home.read_bytes()
        if not copy.is_file() or copy.read_bytes() != content:
            write_atomically(copy, content, "--results")


def strangers(folders: Folders) -> list[str]:
    """Names of suites with runs here whose manifest is not."""
    runs = {path.name for path in (folders.results / "runs").glob("*") if path.is_dir()}
    return sorted(runs.difference(manifest.names("suites", folders.manifests)))


def suites_of(suites: SuiteLike | Sequence[SuiteLike], folders: Folders) -> list[Suite]:
    """The suites that are meant, each once; where none is named, all with runs.

    Raises:
        UsageError: none is named and there are no runs.
    """
    named = [suites] if isinstance(suites, str | Path | Suite) else list(suites)
    if not named:
        runs = folders.results / "runs"
        named = [name for name in manifest.names("suites", folders.manifests) if (runs / name).is_dir()]
    if not named:
        lost = strangers(folders)
        raise without_manifest(lost) if lost else no_runs(folders.results)
    return list({suite.name: suite for suite in (suite_of(one, folders) for one in named)}.values())


def without_manifest(names: Sequence[str]) -> UsageError:
    """There are runs of suites that nobody can look up, and what to do."""
    return UsageError(f"no manifest describes {', '.join(names)}.", "Say where it is: --manifests FOLDER or FILE.toml.")


def no_runs(results: Path) -> UsageError:
    """There is nothing to read, and what to do."""
    if not results.is_dir():
        return UsageError(
            f"there is no results folder {results}.",
            "Has it moved? --results names another; `croftbench run --method croft` makes one.",
        )
    return UsageError(f"there are no runs in {results / 'runs'}.", "`croftbench run --method croft` makes some.")
