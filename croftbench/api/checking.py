"""Whether manifests keep their rules, and whether results are what was written and what their images give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench import authored, draw, plugins, scorers
from croftbench.api import plans, running
from croftbench.api.reading import stale_in
from croftbench.api.suite_choice import no_runs
from croftbench.draw import shares
from croftbench.draw.namesakes import published, told
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import CroftbenchError, DamagedError, DataError, ManifestError, UsageError
from croftbench.files import PACKED, check_seal
from croftbench.locations import Folder, Folders
from croftbench.plugins.recipes import every
from croftbench.runs import planning, posthoc, recheck
from croftbench.runs import results as run_files
from croftbench.suites import manifest, registry, suite_rules, toml
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.api.running import MethodLike, ScoreLike
    from croftbench.progress import Progress
    from croftbench.studies.contract import Cost
    from croftbench.studies.promises import Promise


@dataclass(frozen=True)
class Checked:
    """A manifest or a file that was checked: what it is, in a line, or what is wrong with it."""

    kind: str
    name: str
    about: str
    error: CroftbenchError | None = None


def check(
    *, results: Folder = None, manifests: Folder = None, data_root: Folder = None, cache: Folder = None
) -> Iterator[Checked]:
    """Check every manifest against its rules; no data are needed. Suites on images that ship are drawn, too.

    With `results`, check that folder instead: every digest, every number of every run against its per-image table,
    and the tables that are derived from the runs.
    """
    folders = Folders.of(results, cache, data_root, manifests)
    if results is not None:
        yield from _results(folders)
        return
    for name in manifest.names("splits", folders.manifests):
        yield _checked("dataset", name, _family, folders)
    for name in manifest.names("suites", folders.manifests):
        yield _checked("suite", name, _suite, folders)


@dataclass(frozen=True)
class CheckedMethod:
    """A method, or a score, that was checked from outside.

    Attributes:
        name: as tables would show it.
        promises: in order; those that are not kept say why and where.
        cost: what it takes on few images, beside zero-shot CLIP; None where it does not run, and of a score.
    """

    name: str
    promises: tuple[Promise, ...]
    cost: tuple[Cost, Cost] | None

    @property
    def broken(self) -> tuple[Promise, ...]:
        """Promises that are not kept."""
        return tuple(promise for promise in self.promises if promise.broken)


def check_method(
    method: MethodLike,
    *,
    device: str = "auto",
    timeout: float | None = None,
    cache: Folder = None,
    progress: bool | Progress | None = None,
) -> CheckedMethod:
    """Check a method against the contract of `croftbench.method`, on a few of the images that ship.

    One that needs what the encoder that ships lacks is checked with a tiny random encoder.

    Args:
        method: as in `run`.
        device, cache, progress: as there.
        timeout: seconds for each promise.

    Raises:
        UsageError: there is no such method, or it does not meet the contract's form.
    """
    from croftbench.encoders.stand_in import stand_in
    from croftbench.studies import contract

    folders = Folders.of(cache=cache)
    info = plugins.describe(method, folders.cache)
    with running.shown(progress) as sink:
        encoder = EMBEDDED
        identity = plans.identity_of(EMBEDDED, folders.cache, sink)
        if identity.lacking(planning.on(identity, info).image, info.text):
            encoder = stand_in(folders.cache)
        bench = running.workbench(contract.small(), encoder, folders, device, sink, timeout=timeout)
        trial = contract.Trial(bench, info)
        promises = tuple(contract.check(trial))
        if any(promise.broken for promise in promises):
            return CheckedMethod(info.name, promises, None)
        usual = contract.Trial(bench, plugins.describe("zero-shot", folders.cache))
        contract.cost(usual)  # what is made once is made now
        return CheckedMethod(info.name, promises, (contract.cost(trial), contract.cost(usual)))


def check_scorer(
    score: ScoreLike,
    *,
    device: str = "auto",
    timeout: float | None = None,
    cache: Folder = None,
    progress: bool | Progress | None = None,
) -> CheckedMethod:
    """Check a score of your own against the contract of `croftbench.scorers.own_scores`, on images that ship.

    Args:
        score: as in `run`; with parameters behind a colon, where they are not to be the defaults.
        device, timeout, cache, progress: as in `check_method`.

    Raises:
        UsageError: there is no such score, it is one that ships, or it does not meet the contract's form.
    """
    from croftbench.studies import score_contract

    folders = Folders.of(cache=cache)
    asked = running.asked_of(score)
    if len(asked) != 1 or asked[0].own is None:
        raise UsageError(f"{score} is no score of your own.", "Give path/to/file.py:Class.")
    with running.shown(progress) as sink:
        plans.identity_of(EMBEDDED, folders.cache, sink)
        bench = running.workbench(score_contract.suite(), EMBEDDED, folders, device, sink, timeout=timeout)
        trial = score_contract.ScoreTrial(bench, asked[0])
        return CheckedMethod(asked[0].label, tuple(score_contract.check(trial)), None)


def is_scorer(name: str) -> bool:
    """Whether "path/to/file.py:Class" looks like a score, and not like a method: it has no `needs`, and its `fit` takes
    a context.
    """
    found = scorers.FILE.fullmatch(name)
    if found is None or not found["cls"] or not Path(found["file"]).is_file():
        return False
    cls = getattr(authored.load(Path(found["file"])), found["cls"], None)
    taken = getattr(getattr(getattr(cls, "fit", None), "__code__", None), "co_varnames", ())
    scores = not hasattr(cls, "needs") and (hasattr(cls, "uses") or "context" in taken[1:2])
    return scores or bool(found["settings"])


def _checked(kind: str, name: str, step: Callable[[str, Folders], str], folders: Folders) -> Checked:
    try:
        return Checked(kind, name, step(name, folders))
    except CroftbenchError as error:
        return Checked(kind, name, "", error)


def _family(name: str, folders: Folders) -> str:
    family = registry.family(name, folders.manifests)
    parts = f"{len(family.parts)} part{'s' if len(family.parts) > 1 else ''}"
    if not family.shipped:
        return f"{parts}, {len(family.ids)} classes, {len(family.layouts)} layouts"
    for part in family.parts:
        located = folders.roots.split(family.split_id(part.name))
        if not located.verdict.usable:
            path = toml.manifest_path("splits", name, folders.manifests)
            raise toml.fault(path, f"it holds {located.verdict.message}", part.name)
    return f"{parts} as they ship, digest {family.content[:12]}"


def _suite(name: str, folders: Folders) -> str:
    suite = manifest.suite(name, folders.manifests)
    path = toml.manifest_path("suites", name, folders.manifests)
    asked = [("recipes", *one) for one in suite.recipes.items()] + [("authors", *one) for one in suite.authors.items()]
    for table, method, settings in asked:
        try:
            info = plugins.describe(method, folders.cache)
            for values in every(settings):
                info.resolve(values)
        except UsageError as error:
            raise _located(error, path, table, method) from error
    for scorer in suite.protocol.scorers:
        try:
            scorers.parse(scorer).check_alone()
            if "train" in scorers.parse(scorer).spec.uses and not suite.trains:
                raise UsageError(f"{scorer} compares with training images, and there are none.", "Leave it out.")
        except UsageError as error:
            raise _located(error, path, "protocol", "scorers") from error
    _check_shares(suite, path, folders)
    about = f"v{suite.version}: {len(suite.folds)} fold{'s' if len(suite.folds) > 1 else ''}"
    if suite_rules.shipped(suite, folders.manifests):
        about += f", {len(suite.folds) * len(suite.protocol.seeds)} drawn over all seeds"
    return "; ".join([f"{about}, digest {suite.digest[:12]}", *namesakes(suite, folders)])


def namesakes(suite: Suite, folders: Folders) -> list[str]:
    """A line for each semantic split that some seed of the suite gives images under a known class's name.

    Suites on images that ship are drawn; of others the published numbers are taken.
    """
    seeds = suite.protocol.seeds
    if suite_rules.shipped(suite, folders.manifests):
        return told([fold.namesakes for seed in seeds for fold in draw.folds(suite, seed, roots=folders.roots)])
    return told([published(suite, fold, seed, folders.manifests) for seed in seeds for fold in suite.folds])


def _check_shares(suite: Suite, path: Path, folders: Folders) -> None:
    """A suite that ships the positions that its recipe gives must ship the right ones."""
    if suite.shares and suite.shares.list:
        family, _ = registry.split(suite.folds[0].class_splits[0], folders.manifests)
        shipped = registry.lines_of(registry.shipped_list(suite.shares.list, folders.manifests))
        if shipped != shares.written(family, suite.shares):
            raise toml.fault(path, f"{suite.shares.list} is not what the recipe gives", "shares", "list")


# ------------------------------------------------------------------------------------------- results


def _results(folders: Folders) -> Iterator[Checked]:
    """Every file of a results folder that numbers come from or go to."""
    root = folders.results
    runs, tables = (sorted((root / "runs").glob(f"*/*/*.{kind}")) for kind in ("json", "parquet"))
    if not runs and not tables:
        raise no_runs(root)
    for path in runs:
        yield _checked("run", _name(path, root / "runs"), _run, folders)
    for path in tables:
        if run_files.run_of(path) not in runs:
            lost = DataError(f"{path} has no run beside it.", "Restore its JSON, or delete it.")
            yield Checked("table", _name(path, root / "runs"), "", lost)
    for path in sorted((root / "posthoc").glob(f"*/*/*.json{PACKED}")):
        yield _checked("posthoc", _name(path.with_suffix(""), root / "posthoc"), _posthoc, folders)
    for kind in ("tuning", "diagnosis"):
        for path in sorted((root / kind).glob("*/*.json")):
            yield _checked(kind, _name(path, root / kind), partial(_sealed, kind), folders)
    known = manifest.names("suites", folders.manifests)
    for suite in dict.fromkeys(path.parts[-3] for path in runs):
        if suite in known:
            yield _checked("leaderboard", suite, _leaderboard, folders)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _run(name: str, folders: Folders) -> str:
    path = folders.results / "runs" / f"{name}.json"
    run = run_files.read(path)
    table = run_files.table_of(path)
    if not table.is_file():
        raise DataError(f"{table} is not there, so {path.name} cannot be computed again.", run_files.again(path))
    try:
        recheck.check(run, table)
    except DamagedError:
        raise
    except DataError as error:
        raise DataError(f"{path}: {error.message}", run_files.again(path)) from error
    return f"{len(run.scores)} numbers"


def _posthoc(name: str, folders: Folders) -> str:
    record = posthoc.load(folders.results / "posthoc" / f"{name}.json{PACKED}")
    return f"{sum(len(one.scores) for one in record.scorers)} numbers as they were written"


def _sealed(kind: str, name: str, folders: Folders) -> str:
    path = folders.results / kind / f"{name}.json"
    try:
        check_seal(path.read_bytes())
    except (OSError, ValueError) as error:
        again = "tune" if kind == "tuning" else "diagnose"
        raise DataError(f"{path} is damaged: {error}.", f"Restore it, or `croftbench {again}` again.") from error
    return "as it was written"


def _leaderboard(name: str, folders: Folders) -> str:
    stale = [path for path in stale_in(name, folders) if path.exists()]  # runs from Python need not have tables
    if stale:
        raise DataError(
            f"{', '.join(map(str, stale))} differ from what the runs derive.",
            f"`croftbench leaderboard {name}` rebuilds them.",
        )
    return "its tables are what the runs derive"


def _located(error: UsageError, path: Path, *keys: str) -> ManifestError:
    """A name that a manifest gets wrong, with its line."""
    return ManifestError(f"{toml.at(path, *keys)}: {error.message}", f"{error.hint} {toml.NEXT}")
