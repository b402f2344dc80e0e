"""Which role each group of a folder's images plays in a suite: what can be inferred is, the rest is told or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from croftbench.data.cast import Cast, Data, Fold, Part, readable, slug
from croftbench.data.looking import ALIKE, Found, Group, look
from croftbench.errors import DataError, UsageError, unknown

SHOTS = (16, 8, 4, 2, 1)
"""Training images a class: the first of which a class has twice as many, so that some are left to validate."""

SHARE, DOMAIN_SHARE = 0.6, 0.8
"""Share of the images that train where no folder says which do; of each domain, as DomainBed and Setup-II have it."""


def cast(
    found: Found,
    name: str,
    root: str,
    unknowns: Sequence[str],
    shifts: Mapping[str, str | Path],
    train: bool | None = None,
) -> Cast:
    """Give every group a role.

    Args:
        found: what is there.
        name: of the suite and its data.
        root: what the manifest calls `found.root`: a path, or a hub's address.
        unknowns: classes, or folders of images, that no training shows.
        shifts: name -> folder of known classes in a new manner.
        train: whether some images shall train; None: unless all that have a role test.

    Raises:
        UsageError: a name of `unknowns` or `shifts` is nothing that is there.
        DataError: there is nothing to train on, or nothing that says what images show.
    """
    groups = {group.name: group for group in found.groups}
    outside: list[Data] = []
    roles: dict[str, str] = {}
    for shown, folder in shifts.items():
        roles |= _placed(shown, str(folder), found, name, outside, "shift")
    folders = [one for one in unknowns if one in groups or Path(one).is_dir()]
    for folder in folders:
        roles |= _placed(slug(Path(folder).name), folder, found, name, outside, "unknown")
    apart = {one for one in unknowns if one not in folders}
    every = {key for group in found.groups for key in group.classes}
    for key in sorted(apart - every):
        raise unknown(f"class, or folder, of {found.root}", key, every)
    return _Casting(found, name, root, groups, roles, frozenset(apart), outside, train).cast()


def _placed(shown: str, folder: str, found: Found, name: str, outside: list[Data], role: str) -> dict[str, str]:
    """The role of a group that lies in the folder; images elsewhere become a data set of their own."""
    inside = Path(folder).resolve()
    for group in found.groups:
        if group.name and (group.name == folder or inside == (found.root / group.folder).resolve()):
            return {group.name: f"{role} {shown}"}
    if not inside.is_dir():
        raise UsageError(f"there is no folder {folder}.", f"--{role} names a folder of images.")
    there = look(inside)
    if role == "shift" and (len(there.groups) != 1 or not there.groups[0].classes):
        raise DataError(
            f"{folder} is no folder of class folders.", "A shift needs known classes: FOLDER/<class>/*.jpg."
        )
    if role == "shift":
        group, classes = there.groups[0], {key: readable(key) for key in there.groups[0].classes}
    else:
        group, classes = Group("", "flat", ".", {}, sum(one.images for one in there.groups)), {}
    outside.append(Data(f"{name}-{shown}", str(inside), (Part(f"{role} {shown}", group),), classes))
    return {}


@dataclass
class _Casting:
    found: Found
    name: str
    root: str
    groups: Mapping[str, Group]
    roles: Mapping[str, str]
    apart: frozenset[str]
    outside: Sequence[Data]
    train: bool | None

    def cast(self) -> Cast:
        free = {name: group for name, group in self.groups.items() if name not in self.roles}
        splits = {group.split: group for group in free.values() if group.split}
        others = [group for group in free.values() if not group.split]
        self.said = [f"{self.found.root} holds {self.found.what}: {self._seen()}."]
        if "train" not in splits and "test" not in splits and "val" not in splits:
            same = [group for group in others if group.classes and self._alike(group, others)]
            known = same or [group for group in others if group.classes]
            others = [group for group in others if group not in known]
        else:
            order = ("train", "val", "test") if self._trains(splits) else ("test", "val", "train")
            known = [splits[role] for role in order if role in splits][:1]
        if not any(group.classes for group in known):
            raise DataError(f"nothing in {self.found.root} says what its images show.", "Use class folders, or a list.")
        self.known = tuple(key for key in _union(known) if key not in self.apart)
        if len(self.known) < 2:
            raise DataError(f"{len(self.known)} known class in {self.found.root}.", "A suite needs two; see --unknown.")
        self.parts: list[Part] = []
        self.flat: list[Data] = []
        self.shifted: dict[str, str] = {}
        self.unknown: dict[str, str] = {}
        if self.apart:
            self.said.append(f"Unknown by your word: {', '.join(sorted(self.apart))}.")
        if not self._trains(splits):
            folds, share = self._untrained(known, splits), 0.0
        else:
            folds, share = self._domains(known) if len(known) > 1 else self._splits(known[0], splits)
        for group in others:
            self._other(group, "")
        for name, role in self.roles.items():
            self._other(self.groups[name], role)
        for data in self.outside:
            self._elsewhere(data)
        folds = [replace(fold, covariate={**fold.covariate, **self.shifted}) for fold in folds]
        main = Data(self.name, self.root, tuple(self.parts), {key: readable(key) for key in self._classes()})
        shots, validates = self._shots(folds, share) if self._trains(splits) else (1, False)
        beside = (*self.flat, *self.outside)
        renamed = [replace(one, parts=tuple(replace(p, name="images") for p in one.parts)) for one in beside]
        return Cast(
            self.name, (main, *renamed), tuple(folds), self.unknown, shots, share, validates, self.found.templates,
            tuple(self.said),
        )  # fmt: skip

    # ------------------------------------------------------------------------- roles

    def _trains(self, splits: Mapping[str, Group]) -> bool:
        """As it was told, and else unless images test and none train."""
        return "train" in splits or "test" not in splits if self.train is None else self.train

    def _untrained(self, groups: Sequence[Group], splits: Mapping[str, Group]) -> list[Fold]:
        """All images of the known classes test."""
        every = tuple(self._part(slug(group.split or group.name), group) for group in groups)
        for group in groups:
            self._new_classes(group)
        shared = "" if self.train is False else "; --training shares them out"
        self.said.append(f"No image trains, and so only methods that learn nothing run, such as zero-shot{shared}.")
        left = [group for group in splits.values() if group not in groups]
        self.said += [f"'{group.name}' is left out: {group.images} images." for group in left]
        return [Fold("all", (), every)]

    def _splits(self, train: Group, splits: Mapping[str, Group]) -> tuple[list[Fold], float]:
        """Training and testing groups, or one group that is shared out."""
        test = splits.get("test") or (splits.get("val") if train.split == "train" else None)
        if train.split != "train" or test is None or test is train:
            percent = f"{100 * SHARE:g}% of each class train and the rest tests, dealt out by file name for every seed"
            self.said.append(f"No folder says which images {'test' if train.split == 'train' else 'train'}: {percent}.")
            one = self._part("images", train)
            self._new_classes(train)
            return [Fold("all", (one,), (one,))], SHARE
        val = splits.get("val") if test.split == "test" else None
        if test.split == "val":
            self.said.append(
                f"There is no test folder: '{test.name}' tests, and images left over from training validate."
            )
        fold = Fold(
            "all", (self._part("train", train),), (self._part(test.split, test),),
            (self._part("val", val),) if val else (),
        )  # fmt: skip
        self._new_classes(test)
        return [fold], 0.0

    def _domains(self, groups: Sequence[Group]) -> tuple[list[Fold], float]:
        """Domains: each is left out once, or those that were named as shifts always are."""
        ids = {group.name: self._part(slug(group.name), group) for group in groups}
        for group in groups:
            self._new_classes(group)
        if any(role.startswith("shift") for role in self.roles.values()) or (len(groups) < 3 and self.roles):
            every = tuple(ids.values())
            return [Fold("all", every, every)], DOMAIN_SHARE
        self.said.append(f"{len(groups)} domains: each is left out once, and is the covariate shift of that fold.")
        folds = []
        for name, left_out in ids.items():
            rest = tuple(split for split in ids.values() if split != left_out)
            folds.append(Fold(slug(name), rest, rest, covariate={slug(name): left_out}))
        return folds, DOMAIN_SHARE

    def _other(self, group: Group, told: str) -> None:
        """A group that neither trains nor is a test split: known classes in a new manner, or unknown ones."""
        role, _, shown = told.partition(" ")
        shown = shown or slug(group.name)
        both = [key for key in group.classes if key in self.known]
        fresh = [key for key in group.classes if key not in self.known]
        if role != "unknown" and both:
            self.shifted[shown] = self._part(shown, group)
            left = sum(group.classes[key] for key in fresh)
            more = f"; {left} images of {len(fresh)} other classes are left out" if fresh else ""
            self.said.append(f"'{group.name}' shows {len(both)} known classes: a covariate shift{more}.")
        elif role == "shift":
            raise DataError(f"'{group.name}' has none of the known classes.", "A shift shows known classes.")
        elif fresh:
            self.unknown[shown] = self._part(shown, group, fresh)
            why = "by your word" if role else "as none of them is known"
            self.said.append(f"'{group.name}' shows {len(fresh)} unknown classes, {why}: a semantic shift.")
        elif group.classes:
            raise DataError(f"all classes of '{group.name}' are known.", "Unknown images show other classes.")
        else:
            bare = replace(group, kind="flat" if group.kind == "folders" else group.kind)
            self.flat.append(Data(f"{self.name}-{shown}", self.root, (Part("images", bare),)))
            self.unknown[shown] = f"{self.name}-{shown}"
            self.said.append(f"'{group.name}' has no classes: its {group.images} images are taken for unknown ones.")

    def _elsewhere(self, data: Data) -> None:
        role, _, shown = data.parts[0].name.partition(" ")
        (self.shifted if role == "shift" else self.unknown)[shown] = data.name
        if role == "shift" and not set(data.classes) & set(self.known):
            raise DataError(
                f"{data.root} has none of the known classes.", "A shift shows known classes, by folder name."
            )
        self.said.append(
            f"{data.root}: {data.parts[0].images} images, {'a covariate' if role == 'shift' else 'a semantic'} shift."
        )

    def _new_classes(self, tested: Group) -> None:
        """Classes of a tested group that are not known."""
        fresh = [key for key in tested.classes if key not in self.known]
        if fresh:
            name = f"unknown-{slug(tested.name)}" if len(self.groups) > 1 and tested.split == "" else "unknown"
            self.unknown[name] = self._part(name, tested, fresh)
            self.said.append(f"{len(fresh)} class(es) of '{tested.name or self.name}' are new: a semantic shift.")

    def _part(self, name: str, group: Group, keys: Iterable[str] | None = None) -> str:
        chosen = [key for key in group.classes if key in self.known] if keys is None else list(keys)
        self.parts.append(Part(name, group, tuple(chosen)))
        return f"{self.name}/{name}"

    # ------------------------------------------------------------------------- numbers and words

    def _shots(self, folds: Sequence[Fold], share: float) -> tuple[int, bool]:
        """Shots, and whether every class has images left to validate."""
        by_id = {f"{self.name}/{part.name}": part for part in self.parts}
        least = min(
            sum(round((share or 1) * by_id[split].group.classes.get(key, 0)) for split in fold.train)
            for fold in folds
            for key in self.known
        )
        if least < 1:
            raise DataError(
                f"a class of {self.found.root} has no image to train on.",
                "Add images, name the class with --unknown, or train nothing: --no-training.",
            )
        shots = next((one for one in SHOTS if 2 * one <= least), 1)
        own = any(fold.val for fold in folds)
        self.said.append(f"{shots} training images a class: the smallest has {least}.")
        return shots, least > shots and not own

    def _alike(self, group: Group, others: Sequence[Group]) -> bool:
        mine = set(group.classes) - self.apart
        theirs = [set(one.classes) - self.apart for one in others if one is not group and one.classes]
        return any(len(mine & one) > 0 and len(mine & one) >= ALIKE * min(len(mine), len(one)) for one in theirs)

    def _classes(self) -> list[str]:
        return list(dict.fromkeys([*self.known, *(key for part in self.parts for key in part.subset)]))

    def _seen(self) -> str:
        return ", ".join(
            f"{group.name or 'all'} ({group.images} images"
            + (f" of {len(group.classes)} classes)" if group.classes else ")")
            for group in self.found.groups
        )


def _union(groups: Iterable[Group]) -> list[str]:
    return list(dict.fromkeys(key for group in groups for key in group.classes))
