"""Runs to share: a zip of run files with a manifest, and reading one that somebody else made.

A bundle holds `manifest.json` (its schema, the croftbench version, and each file's sha256 and size) and, for every
run, its JSON and its per-image table under the paths that they have in a results folder. The same runs give the same
bytes: members are stored, in order, without times. What is read is not trusted: paths, sizes, digests, run
identifiers and types are checked, and every number is computed again from the per-image table.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from croftbench import __version__, mirrors
from croftbench.errors import CroftbenchError, DamagedError, DataError
from croftbench.files import check_seal, file_digest, replacing, sync, write_atomically
from croftbench.runs import per_image, recheck, results
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec

SCHEMA = 1
MANIFEST = "manifest.json"
MEMBER = re.compile(r"runs/[^\W_][\w .+-]{0,99}/[^\W_][\w .+-]{0,99}/[0-9a-f]{12}\.(json|parquet)")
"""runs/<suite>/<method>/<run id>: no way up, no absolute or hidden path, no control character."""

MAX_FILES = 20_000
MAX_FILE = 64 * 2**20
MAX_TOTAL = 2 * 2**30


@dataclass(frozen=True)
class Imported:
    """What an import did: runs that are new, and those that were there already with the same numbers."""

    new: tuple[RunSpec, ...]
    present: tuple[RunSpec, ...]


def imported(result: RunResult) -> bool:
    """Whether a run came out of somebody's bundle; `env["imported"]` says which."""
    return "imported" in result.env


# ------------------------------------------------------------------------------------- export


def export(folder: Path, runs: Iterable[RunResult], out: Path) -> list[RunSpec]:
    """Write a bundle in one step; the runs in it, in order.

    Args:
        folder: the results folder.
        runs: what to share.
        out: the file; one that is there is replaced.

    Raises:
        DataError: no runs, one without its per-image table, a name that cannot travel, or `out` cannot be written.
    """
    ordered = sorted(runs, key=lambda run: str(results.path_of(Path(), run.spec)))
    if not ordered:
        raise DataError(f"no runs of that kind in {folder}.", "`croftbench run --method zero-shot,croft` makes some.")
    files: dict[str, bytes] = {}
    for run in ordered:
        for path in (results.path_of(folder, run.spec), per_image.path_of(folder, run.spec)):
            name = path.relative_to(folder).as_posix()
            if not MEMBER.fullmatch(name):
                raise DataError(f"run {run.spec.run_id} has a suite or method name that cannot travel.", "Rename it.")
            files[name] = _bytes(path, run)
    listing = {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in files.items()}
    manifest = {"schema": SCHEMA, "croftbench": __version__, "files": listing}
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in ((MANIFEST, text.encode()), *files.items()):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, data)
    return [run.spec for run in ordered]


def _bytes(path: Path, run: RunResult) -> bytes:
    """A file of a run, as it was written."""
    spec = run.spec
    try:
        data = path.read_bytes()
        if path.suffix == ".json":
            check_seal(data)
        elif _sha256(data) != run.table:
            raise ValueError("its digest is not the one in its run")
        return data
    except ValueError as error:
        raise DamagedError(path, str(error), results.again(path)) from error
    except OSError as error:
        raise DataError(
            f"run {spec.run_id} ({spec.method} on {spec.suite}, seed {spec.seed}) cannot be shared: no {path}.",
            "Delete its JSON and run it again, or leave it out with --suite and --method.",
        ) from error


# ------------------------------------------------------------------------------------- import


def import_runs(folder: Path, file: Path) -> Imported:
    """Import a bundle: every run in it, verified and marked, or none.

    Each run's JSON gains `env["imported"]` with the bundle's digest and the exporter's version; its specification,
    identifier, scores and per-image table stay. A run that is there already with the same numbers is left alone.

    Args:
        folder: the results folder.
        file: the bundle.

    Raises:
        DataError: not a bundle, damaged, unsafe, a number that its per-image table does not give, or a run that is
            there already with other numbers. The results folder is then as it was.
    """
    files, origin = _open(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".import-", dir=folder))
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}.", "Choose another folder with --results.") from error
    try:
        new: list[RunResult] = []
        present: list[RunResult] = []
        for name in sorted(files):
            if name.endswith(".json"):
                result = _checked(staging, name, files)
                (present if _is_there(folder, result) else new).append(result)
        for result in new:
            marked = replace(result, env={**result.env, "imported": origin})
            results.path_of(staging, result.spec).unlink()
            results.write(staging, marked)
        _move(staging, folder, [result.spec for result in new])
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Imported(tuple(run.spec for run in new), tuple(run.spec for run in present))


def _open(file: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """The members of a bundle that is what its manifest says, and where it is from."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(file, members)
            files = {member.filename: archive.read(member) for member in members}
        origin = file_digest(file)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}.", "Check the path.") from error
    except (
        Exception
    ) as error:  # whatever Python's reader raises on hostile bytes: struct.error, UnicodeDecodeError, ...
        raise DataError(f"{file} is not a readable bundle: {_one_line(error)}.", "Ask for it again.") from error
    try:
        manifest = json.loads(files.pop(MANIFEST))
        schema, version, listing = manifest["schema"], str(manifest["croftbench"]), manifest["files"]
        listed = {name: (entry["sha256"], entry["bytes"]) for name, entry in listing.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _bad(file, f"{MANIFEST} is missing or broken") from error
    if schema != SCHEMA:
        raise DataError(f"{file} has schema {_one_line(schema)}, this version reads {SCHEMA}.", "Update croftbench.")
    if listed.keys() != files.keys():
        raise _bad(file, f"files and {MANIFEST} differ at {min(listed.keys() ^ files.keys())!a}")
    for name, data in files.items():
        if listed[name] != (_sha256(data), len(data)):
            raise _bad(file, f"{name} does not have the digest that {MANIFEST} says")
        partner = name.removesuffix(".json") + ".parquet" if name.endswith(".json") else name[:-7] + "json"
        if partner not in files:
            raise _bad(file, f"{name} comes without {partner}")
    return files, {"bundle": origin, "croftbench": _one_line(version)[:40]}


def _check_members(file: Path, members: list[zipfile.ZipInfo]) -> None:
    """Nothing is unpacked before its name, kind and size have been found harmless."""
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise _bad(file, "a file is in it twice")
    if len(names) > MAX_FILES or sum(member.file_size for member in members) > MAX_TOTAL:
        raise _bad(file, f"it is larger than {MAX_FILES:,} files or {MAX_TOTAL / 2**30:.0f} GiB")
    for member in members:
        if member.filename != MANIFEST and not MEMBER.fullmatch(member.filename):
            raise _bad(file, f"{member.filename[:200]!a} is not the path of a run")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
            raise _bad(file, f"{member.filename} is a link or encrypted")
        if member.file_size > MAX_FILE:
            raise _bad(file, f"{member.filename} is larger than {MAX_FILE / 2**20:.0f} MiB")


def _checked(staging: Path, name: str, files: dict[str, bytes]) -> RunResult:
    """One run, written to the staging folder, once it is what it says and its numbers are its table's."""
    path, table = staging / name, staging / name.replace(".json", ".parquet")
    write_atomically(path, files[name], "--results")
    write_atomically(table, files[name.replace(".json", ".parquet")], "--results")
    try:
        result = results.read(path)
        if results.path_of(staging, result.spec) != path:
            raise DataError("it is in another suite's or method's folder.")
        texts = [t for s in result.scores for t in (s.split, s.metric, s.scorer, s.reference)]
        if not all(text.isprintable() for text in [*texts, *_texts(asdict(result.spec))]):
            raise DataError("it has control characters in its names.")
        json.dumps(asdict(result), allow_nan=False)
        recheck.check(result, table)
    except Exception as error:  # a run that somebody else made: nothing about it is known
        reason = error.message if isinstance(error, CroftbenchError) else f"{type(error).__name__}: {error}"
        reason = _one_line(reason.replace(str(staging) + os.sep, ""))
        raise DataError(f"{name} of the bundle: {reason}", "Nothing was imported; ask for the bundle again.") from error
    return result


def _is_there(folder: Path, result: RunResult) -> bool:
    """Whether the run is there already with the same numbers."""
    path = results.path_of(folder, result.spec)
    if not path.exists():
        return False
    mine = results.read(path)
    if mine.scores != result.scores:
        raise DataError(
            f"run {mine.spec.run_id} ({mine.spec.method} on {mine.spec.suite}, seed {mine.spec.seed}) is in {folder} "
            f"already, with other numbers.",
            "Import into another folder with --results; nothing was changed.",
        )
    return True


def _move(staging: Path, folder: Path, specs: list[RunSpec]) -> None:
    """Move every run to its place, its JSON last; take all of them back where one fails."""
    placed: list[Path] = []
    try:
        for spec in specs:
            for of in (per_image.path_of, results.path_of):
                target = of(folder, spec)
                target.parent.mkdir(parents=True, exist_ok=True)
                if of is results.path_of and target.exists():
                    raise FileExistsError(None, f"{target.name} has appeared meanwhile")
                if not target.exists():  # a table without a JSON is what an interrupted run leaves
                    placed.append(target)
                with mirrors.sending(target):
                    of(staging, spec).replace(target)
                    sync(target.parent)
    except BaseException as error:
        for path in reversed(placed):
            mirrors.remove(path)
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"cannot write {folder}: {error.strerror}.", "Nothing was imported.") from error
        raise


# ------------------------------------------------------------------------------------- small print


def _texts(value: object) -> Iterator[str]:
    """Every text in nested data, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield from (str(key), *_texts(inside))
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _texts(inside)


def _one_line(value: object) -> str:
    """Text that somebody else wrote, on one line and without control characters."""
    return "".join(c if c.isprintable() else " " for c in str(value))[:300]


def _bad(file: Path, what: str) -> DataError:
    return DataError(f"{file} is not a bundle to trust: {what}.", "Nothing was imported; ask for it again.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
