"""What a suite, a family or a split is made of: roles, classes, numbers, licences, citations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from croftbench.data.status import needed
from croftbench.errors import unknown
from croftbench.suites import manifest, registry
from croftbench.suites.families import Family, Part
from croftbench.suites.language import Suite
from croftbench.suites.shelves import Where, behind
from croftbench.suites.toml import names


@dataclass(frozen=True)
class SuiteDescription:
    """A suite, the families that it uses, by name, and what is said of its namesakes (see `draw.namesakes`)."""

    suite: Suite
    families: Mapping[str, Family]
    namesakes: tuple[str, ...] = ()

    def roles(self) -> Iterable[tuple[str, str, tuple[str, ...], str]]:
        """(fold, role, split ids, what it is where it is no whole split) of every fold; the last of all folds."""
        for fold in self.suite.folds:
            if fold.train:
                yield fold.name, "train", fold.train, ""
            if fold.val:
                yield fold.name, "val", fold.val, ""
            yield fold.name, "id", fold.id, ""
            for name, shifted in fold.shifted().items():
                yield fold.name, f"covariate: {name}", shifted.splits, ""
        for spec in self.suite.semantic:
            what = ", ".join(spec.groups) or "images of the unknown classes"
            where = "every" if len(self.suite.folds) > 1 else self.suite.folds[0].name
            yield where, f"semantic: {spec.name}", spec.splits, what

    def images(self, split: str) -> int:
        """Published number of images of a split."""
        name, _, part = split.partition("/")
        return images(self.families[name].part(part) if part else self.families[name].parts[0])

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self.suite) | {
            "digest": self.suite.digest,
            "namesakes": list(self.namesakes),
            "roles": [
                {"fold": fold, "role": role, "splits": splits, "images": sum(self.images(s) for s in splits)}
                for fold, role, splits, _ in self.roles()
            ],
            "licences": {name: family.licence for name, family in self.families.items()},
            "unverified": {
                name: list(family.unverified) for name, family in self.families.items() if family.unverified
            },
            "citations": {name: family.citation for name, family in self.families.items()},
        }


@dataclass(frozen=True)
class FamilyDescription:
    """A family, and those of its parts that were asked for."""

    family: Family
    parts: tuple[Part, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        family = self.family
        return {
            "name": family.name,
            "title": family.title,
            "splits": [
                {
                    "split": family.split_id(part.name),
                    "images": images(part),
                    "classes": [family.ids[i] for i in part.members],
                    "classnames": [family.classnames[i] for i in part.members],
                    "per_class": list(part.counts),
                    "variants": [asdict(variant) for variant in part.variants],
                    "note": part.note,
                }
                for part in self.parts
            ],
            "source": family.source,
            "licence": family.licence,
            "homepage": family.homepage,
            "layouts": [layout.name for layout in family.layouts],
            "get": {key: value for key, value in asdict(family.get).items() if value},
            "unverified": list(family.unverified),
            "citation": family.citation,
        }


def look_up(name: str, manifests: Where = None) -> SuiteDescription | FamilyDescription:
    """What is called so: a suite, a family, or a split.

    Raises:
        UsageError: there is none; the closest name is suggested.
    """
    suites, families = names("suites", manifests), names("splits", manifests)
    if name in suites or name.endswith(".toml"):
        suite = manifest.suite(name, manifests)
        manifests = behind(Path(suite.home), manifests) if suite.home else manifests
        used = dict.fromkeys(split.partition("/")[0] for split in needed(suite, manifests))
        return SuiteDescription(suite, {family: registry.family(family, manifests) for family in used})
    if "/" not in name and name not in families:
        raise unknown("split or suite", name, [*suites, *families])
    return FamilyDescription(*parts_of(name, manifests))


def parts_of(name: str, manifests: Where = None) -> tuple[Family, tuple[Part, ...]]:
    """The part that a split's id names, or all parts of the family that a name is of.

    Raises:
        UsageError: there is none; the closest name is suggested.
    """
    first, slash, _ = name.partition("/")
    if slash:
        family, part = registry.split(name, manifests)
        return family, (part,)
    family = registry.family(first, manifests)
    return family, family.parts


def images(part: Part) -> int:
    """Published number of images of a part, 0 where nobody counted."""
    return part.images or sum(part.counts)
