"""What is on this machine: every split with its state, and every suite with what it lacks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from croftbench.data.roots import Roots
from croftbench.suites import manifest, registry, suite_rules
from croftbench.suites.families import Family, State
from croftbench.suites.language import Suite
from croftbench.suites.shelves import Where
from croftbench.suites.toml import names


@dataclass(frozen=True)
class SplitStatus:
    """One split.

    Attributes:
        split, family: its id, and the family that it is of.
        state: how it compares with its manifest; "absent" where it is not found, "partial" where its images seem to
            be there but something that they need is not, say the file that tells the splits apart.
        images, expected: how many there are, and how many there should be (0: nobody knows).
        layout, at: in which layout it is taken, and from which folder below the data root; "" if not found.
        message: one line for people.
        elsewhere: "layout in folder" of every other place where it was found.
        shipped: whether the package holds it.
        guess: what no manifest says of the place or its class folders; "" where all is as one says.
    """

    split: str
    family: str
    state: State | Literal["absent", "partial"]
    images: int
    expected: int
    layout: str
    at: str
    message: str
    elsewhere: tuple[str, ...] = ()
    shipped: bool = False
    guess: str = ""

    @property
    def usable(self) -> bool:
        """Whether a suite can be run on it."""
        return self.state in ("complete", "variant", "uncounted")


@dataclass(frozen=True)
class SuiteStatus:
    """One suite: it can run when it lacks nothing.

    Attributes:
        lacks: ids of the splits that are not there, or not complete.
        needs: ids of all its splits.
    """

    suite: str
    title: str
    needs: tuple[str, ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class DataStatus:
    """What is on this machine.

    Attributes:
        data_root: where it was looked for; None for the package only.
        splits: every split with its state.
        suites: every suite with what it lacks.
    """

    data_root: Path | None
    splits: tuple[SplitStatus, ...]
    suites: tuple[SuiteStatus, ...]

    @classmethod
    def of(cls, roots: Roots) -> DataStatus:
        """All that the manifests describe; raises what `splits` and `suites` raise."""
        known = splits(roots)
        return cls(roots.data, tuple(known), tuple(suites(roots, known)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "data_root": str(self.data_root) if self.data_root else None,
            "splits": [asdict(one) | {"usable": one.usable} for one in self.splits],
            "suites": [asdict(one) | {"can_run": not one.lacks} for one in self.suites],
        }


def splits(roots: Roots) -> list[SplitStatus]:
    """Every split that a manifest describes, in the order of families and of their parts.

    Raises:
        DataError: a folder cannot be read. ManifestError: a manifest breaks a rule.
    """
    families = [registry.family(name, roots.manifests) for name in names("splits", roots.manifests)]
    return [status for family in families for status in of_family(roots, family)]


def of_family(roots: Roots, family: Family) -> list[SplitStatus]:
    """Every split of one family."""
    return [_status(roots, family, part.name) for part in family.parts]


def _status(roots: Roots, family: Family, part: str) -> SplitStatus:
    split, wanted = family.split_id(part), family.part(part)
    expected = wanted.images or sum(wanted.counts)
    if family.shipped:  # `croftbench check` opens it; here it would cost more than all the rest
        layout = family.layouts[0].name
        says = "ships with croftbench"
        return SplitStatus(split, family.name, "complete", expected, expected, layout, "", says, shipped=True)
    occurrences = roots.occurrences(family.name)
    located = roots.locate(split)
    if located is None:
        near = sorted((one for one in occurrences if part in one.near), key=lambda one: -one.near[part])
        why = [one.absent[part] for one in near]
        state: Literal["absent", "partial"] = "partial" if why else "absent"
        return SplitStatus(split, family.name, state, 0, expected, "", "", why[0] if why else "not found")
    best = located.occurrence
    others = tuple(f"{o.layout.name} in {o.at or '.'}" for o in occurrences if o is not best and part in o.parts)
    guess = next((note.examples[0] for note in located.listing.notes if note.what == "guess"), "")
    return SplitStatus(
        split, family.name, located.verdict.state, len(located.listing), expected, best.layout.name, best.at,
        located.verdict.message, others, guess=guess,
    )  # fmt: skip


def suites(roots: Roots, statuses: list[SplitStatus]) -> list[SuiteStatus]:
    """Every suite that has a manifest.

    Args:
        roots: where its manifests are.
        statuses: every split's status.

    Raises:
        ManifestError: a manifest breaks a rule.
    """
    usable = {status.split for status in statuses if status.usable}
    rows = []
    for suite in (manifest.suite(name, roots.manifests) for name in names("suites", roots.manifests)):
        needs = needed(suite, roots.manifests)
        rows.append(SuiteStatus(suite.name, suite.title, needs, tuple(s for s in needs if s not in usable)))
    return rows


def needed(suite: Suite, manifests: Where = None) -> tuple[str, ...]:
    """Ids of all splits that a suite takes images from, each once."""
    needs: dict[str, None] = {}
    for _, split in suite_rules.split_ids(suite):
        family, part = registry.split(split, manifests)
        needs[family.split_id(part.name)] = None
    return tuple(needs)
