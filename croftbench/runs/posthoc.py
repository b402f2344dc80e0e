"""Post-hoc scores on disk: detection scores beyond a suite's own, computed from a finished run's outputs.

One JSON a run, `posthoc/<suite>/<method>/<run id>.json.gz`, beside the runs and never in them: a run is written once,
this file grows as more scores are asked for, each time by one atomic replacement. It is packed, to a sixth: with all
scores it has thousands of rows that differ in little but digits. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from croftbench.errors import DataError
from croftbench.files import PACKED, packed, sealed, write_atomically
from croftbench.runs import results
from croftbench.runs.results import Score
from croftbench.runs.spec import RunSpec
from croftbench.scorers import Asked


@dataclass(frozen=True)
class Scored:
    """What one score gave for one run.

    Attributes:
        label: its name with the parameters that are not at their default, as tables show it.
        scorer: its name; "own" for a score that only the run's method gives.
        params: all its parameters.
        version: of the scorer.
        files: digests of the files that parameters name; of a score that a user wrote, of its source, under "code".
        not_applicable: why it has no meaning for this run, or "".
        seconds: for fitting it and scoring all images.
        environment: which of the file's environments it was computed in.
        scores: tidy rows; none where it is not applicable.
        stream: of a score of a stream, the "order" of its images, the "seed" that shuffles them and the "batch".
    """

    label: str
    scorer: str
    params: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    files: Mapping[str, str] = field(default_factory=dict)
    not_applicable: str = ""
    seconds: float = 0.0
    environment: int = 0
    scores: tuple[Score, ...] = ()
    stream: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Posthoc:
    """All post-hoc scores of one run.

    Attributes:
        spec: of the run.
        environments: the worlds they were computed in (see `environment.describe`), with the time ("created"), where
            the outputs came from ("outputs": "kept" or "fitted again"), and whether they give the run's own
            accuracies ("agrees").
        scorers: in the order of their computation.
    """

    spec: RunSpec
    environments: tuple[Mapping[str, Any], ...] = ()
    scorers: tuple[Scored, ...] = ()
    schema: int = results.SCHEMA

    def missing(self, asked: Iterable[Asked], among: Sequence[str]) -> list[Asked]:
        """What is asked for and neither there, in this version and from these files, nor `among` the run's own."""
        there = {(one.label, one.version, tuple(one.files.items())) for one in self.scorers}

        def is_there(one: Asked) -> bool:
            return (one.label, one.spec.version, tuple(one.file_digests().items())) in there

        return [one for one in asked if one.label not in among and not is_there(one)]

    def with_more(self, more: Sequence[Scored], environment: Mapping[str, Any]) -> Posthoc:
        """The union: what is computed anew replaces what was here under its name."""
        labels = {one.label for one in more}
        kept = [one for one in self.scorers if one.label not in labels]
        used = sorted({one.environment for one in kept})
        worlds = [*(self.environments[i] for i in used), environment]
        moved = [replace(one, environment=used.index(one.environment)) for one in kept]
        new = [replace(one, environment=len(worlds) - 1) for one in more]
        return Posthoc(self.spec, tuple(worlds), (*moved, *new))


def path_of(folder: Path, spec: RunSpec) -> Path:
    """Where the post-hoc scores of the run of `spec` are, or will be."""
    return folder / "posthoc" / f"{results.file_of(spec)}{PACKED}"


def read(folder: Path, spec: RunSpec) -> Posthoc:
    """What is there for a run; an empty record where there is nothing.

    Raises:
        DataError: see `load`.
    """
    path = path_of(folder, spec)
    return load(path) if path.is_file() else Posthoc(spec)


def load(path: Path) -> Posthoc:
    """A record.

    Raises:
        DataError: the file is damaged, of another schema, or of another run than its name says.
    """
    hint = "Restore it, or delete it and ask for the scores again with `croftbench run --method croft --scorers all`."
    there = results.record(path, Posthoc, hint)
    if not all(0 <= one.environment < len(there.environments) for one in there.scorers):
        raise DataError(f"{path} is not readable: a score names an environment that is not there.", hint)
    if f"{there.spec.run_id}.json{PACKED}" != path.name:
        raise DataError(f"{path} is of run {there.spec.run_id}.", hint)
    return there


def write(folder: Path, record: Posthoc) -> Path:
    """Replace a run's record in one step.

    Raises:
        DataError: it cannot be written; the old one is untouched.
    """
    path, data = path_of(folder, record.spec), asdict(record)
    fields = {name: data[name] for name in ("schema", "spec", "environments", "scorers")}
    text = sealed(results.laid_out(fields, ["environments", "scorers"]))
    write_atomically(path, packed(text), "--results")
    return path
