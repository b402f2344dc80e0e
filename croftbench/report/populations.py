"""The images that runs were measured on, as their records have it: whose numbers may stand beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from croftbench.draw.namesakes import told
from croftbench.runs.results import RunResult

NONE = "none"
INCOMPLETE = "incomplete data"
OTHER = "other images"


@dataclass(frozen=True)
class Copy:
    """A split as a run met it on a disk; `files` is of its paths and bytes, and only means something in one layout."""

    state: str
    images: int
    layout: str
    files: tuple[str, int]

    def same(self, other: Copy) -> bool:
        """Whether both hold the same images, as far as can be told."""
        return self.images == other.images and (self.layout != other.layout or self.files == other.files)


def copies(runs: Iterable[RunResult]) -> dict[str, set[Copy]]:
    """Split -> the copies that runs met; splits that ship have none."""
    met: dict[str, set[Copy]] = {}
    for run in runs:
        for split, of in run.env.get("splits", {}).items():
            files = str(of.get("digest", "")), int(of.get("bytes", 0))
            copy = Copy(str(of.get("state", "")), int(of.get("images", 0)), str(of.get("layout", "")), files)
            met.setdefault(split, set()).add(copy)
    return met


def caveats(rows: Sequence[Sequence[RunResult]]) -> list[str]:
    """For each row's runs: INCOMPLETE, OTHER (than most rows were measured on), or NONE.

    Rows with either of the first two must not be ranked among the others.
    """
    met = [copies(runs) for runs in rows]
    whole = [not any(copy.state == "incomplete" for of in each.values() for copy in of) for each in met]
    usual = _usual([each for each, complete in zip(met, whole, strict=True) if complete])
    return [
        (OTHER if _differs(each, usual) else NONE) if complete else INCOMPLETE
        for each, complete in zip(met, whole, strict=True)
    ]


def shortfalls(rows: Iterable[Iterable[RunResult]]) -> list[str]:
    """A line for each split that rows did not meet in one complete copy: "pacs/photo: 140 (incomplete), 1,670"."""
    together: dict[str, set[Copy]] = {}
    for runs in rows:
        for split, of in copies(runs).items():
            together.setdefault(split, set()).update(of)
    return [
        f"{split}: " + ", ".join(sorted(map(_text, of), key=lambda text: (len(text), text)))
        for split, of in sorted(together.items())
        if any(copy.state == "incomplete" for copy in of) or not all(one.same(other) for one in of for other in of)
    ]


def namesakes(runs: Iterable[RunResult]) -> list[str]:
    """A line for each semantic split of which runs met images under a known class's name."""
    return told([run.env.get("namesakes", {}) for run in runs])


def generations(runs: Sequence[RunResult]) -> list[list[RunResult]]:
    """Runs of one configuration, apart where a fold was drawn from other images: the newest images of each first."""
    newest: dict[str, dict[str, str]] = {}
    for run in runs:
        of = newest.setdefault(run.spec.fold, {})
        of[run.spec.data] = max(of.get(run.spec.data, ""), run.created)
    rank = {
        (fold, data): place
        for fold, of in newest.items()
        for place, data in enumerate(sorted(of, key=lambda data: of[data], reverse=True))
    }
    apart: dict[int, list[RunResult]] = {}
    for run in runs:
        apart.setdefault(rank[run.spec.fold, run.spec.data], []).append(run)
    return [apart[place] for place in sorted(apart)]


def _usual(rows: Iterable[Mapping[str, set[Copy]]]) -> dict[str, Copy]:
    """Split -> the copy that most rows met."""
    counts: dict[str, Counter[Copy]] = {}
    for each in rows:
        for split, of in each.items():
            counts.setdefault(split, Counter()).update(of)
    return {split: max(count, key=lambda copy: (count[copy], copy.images)) for split, count in counts.items()}


def _differs(row: Mapping[str, set[Copy]], usual: Mapping[str, Copy]) -> bool:
    return any(not copy.same(usual[split]) for split, of in row.items() for copy in of)


def _text(copy: Copy) -> str:
    return f"{copy.images:,} images" + (f" ({copy.state})" if copy.state != "complete" else "")
