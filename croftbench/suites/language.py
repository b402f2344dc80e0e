"""The suite language: what a suite's manifest may say, key by key. No I/O, no torch.

A *split id* is "family/part", or "family" where a family has one part (see `datasets_manifest/splits/`). Everything
here that has a default may be left out of a manifest; the defaults are the standard protocol.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar, Literal

from croftbench.files import digest

RecipeName = Literal["authors", "croft-comparison"]
"""Every built-in method has both: its own paper's published settings, and those of CRoFT's comparison."""

FORBID = {"extra": "forbid", "allow_inf_nan": False}
"""For pydantic, which reads the manifest types: a key that is not a field is an error, and so is `nan` or 1e999."""


@dataclass(frozen=True)
class ClassDraw:
    """Which classes a fold has, and which of them a seed makes known.

    The classes are those of the family that `FoldSpec.class_splits` are of, in the order of its class list.

    Attributes:
        by: "class", or the column of a shipped image table that names the class.
        groups: for a table: values of its column `group` that classes come from.
        names: for a table: class -> the name to show and to prompt with; others are left out when it is not empty.
        members: for a table, with by = "name": class -> the objects that are of it; any other object is an unknown
            class of its own.
        min_objects: for a table: classes with fewer objects are left out.
        draw: how the known classes are chosen: "all"; "random", by seed; "first" of the list; or the ids in `list`.
        known: how many: a share up to 1 (rounded, "first": rounded up), or a number of classes above 1.
        order: label order: as in the family's "list", or as "drawn".
        list: file of `lists/` with class ids, for draw = "list".
        match: how images of other families find their class: by the class's "id", or by its "name".
    """

    __pydantic_config__: ClassVar = FORBID

    by: str = "class"
    groups: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min_objects: int = 1
    draw: Literal["all", "random", "first", "list"] = "all"
    known: float = 1.0
    order: Literal["list", "drawn"] = "list"
    list: str = ""
    match: Literal["id", "name"] = "id"

    def of(self, rows: Iterable[object]) -> tuple[str, ...]:
        """The class of each row of a shipped table (`croftbench.data.scan.shipped.Row`)."""
        keys = map(str, map(attrgetter(self.by), rows))
        return tuple(self._member_of.get(key, key) for key in keys) if self.members else tuple(keys)

    @cached_property
    def _member_of(self) -> dict[str, str]:
        return {one: name for name, objects in self.members.items() for one in objects}

    def count(self, classes: int) -> int:
        """How many of so many classes are known; for draw = "list" the list says."""
        if self.draw in ("all", "list"):
            return classes
        if self.known > 1:
            return int(self.known)
        return math.ceil(self.known * classes) if self.draw == "first" else round(self.known * classes)


@dataclass(frozen=True)
class Shares:
    """How images of one part are shared out among the roles, where it plays several; the shares sum to 1.

    Attributes:
        unit: "object": each seed deals out the objects of a class, so all drawings of one have the same role.
            "image": a fixed recipe deals out the images of each part that trains, the same for every seed
            (`draw.shares`); parts that do not train stay whole.
        train, val, test: shares.
        list: for "image": file of `lists/` that has the recipe's outcome for the published numbers of images written
            down (`croftbench check` compares them).
    """

    __pydantic_config__: ClassVar = FORBID

    train: float
    val: float
    test: float
    unit: Literal["object", "image"] = "object"
    list: str = ""


@dataclass(frozen=True)
class ValSpec:
    """Where held-out images of the training distribution come from, in folds that do not name splits for it.

    Attributes:
        source: "train": images of the training parts that no shot took; "share": the share of that name; "test": the
            ID test images, which only a suite named *-official may do.
        per_class: how many a class; 0: all.
    """

    __pydantic_config__: ClassVar = FORBID

    source: Literal["train", "share", "test"]
    per_class: int = 0


@dataclass(frozen=True)
class ReferenceSpec:
    """The positives of detection, where they are not the ID test images.

    Attributes:
        role: "val", or "covariate": the fold's only covariate split.
        per_class: how many a class; 0: all.
    """

    __pydantic_config__: ClassVar = FORBID

    role: Literal["val", "covariate"]
    per_class: int = 0


@dataclass(frozen=True)
class Shifted:
    """A covariate split in its long form.

    Attributes:
        splits: split ids.
        classes: the label space that its images are classified in: all "known" classes, or its "own", those of the
            known classes that the splits have.
        mapping: file of `lists/` that says which known classes each class of the family is, "id<TAB>id id ..."; a
            class that is several known ones is right for each of them. "": classes are matched as usual.
    """

    __pydantic_config__: ClassVar = FORBID

    splits: tuple[str, ...]
    classes: Literal["known", "own"] = "known"
    mapping: str = ""


@dataclass(frozen=True)
class FoldSpec:
    """Which splits play which role in a fold.

    Attributes:
        name: the fold's name.
        train: split ids of the training (and validation) images, all of one family: the training domains. None, in
            every fold of a suite, leaves only methods that learn nothing.
        id: split ids of the ID test images.
        covariate: name in tables -> split id, or its long form.
        val: split ids of the validation images, where they have their own.
        templates: the fold's own prompts; none: the suite's.
    """

    __pydantic_config__: ClassVar = FORBID

    name: str
    train: tuple[str, ...]
    id: tuple[str, ...]
    covariate: Mapping[str, str | Shifted] = field(default_factory=dict)
    val: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()

    def shifted(self) -> dict[str, Shifted]:
        """The covariate splits, each in its long form."""
        return {k: Shifted((v,)) if isinstance(v, str) else v for k, v in self.covariate.items()}

    @property
    def class_splits(self) -> tuple[str, ...]:
        """Split ids whose classes are the fold's: of the training images, or, where none are, of the ID test images."""
        return self.train or self.id

    @property
    def tested(self) -> tuple[str, ...]:
        """Split ids that this fold tests known classes on."""
        return (*self.id, *(split for one in self.shifted().values() for split in one.splits))


@dataclass(frozen=True)
class SemanticSpec:
    """A semantic-shift split.

    Attributes:
        name: in tables.
        source: "unknown-classes" of the draw; "groups" of the shipped table; or whole "splits".
        groups: for "groups".
        splits: for "splits": split ids; for "unknown-classes": where its images are, if neither beside "id" nor
            "covariate", of one dataset whose classes are the fold's.
        where: for the first two: in the manner of the "id" test images, or of the "covariate" ones.
        exclude: class ids, or objects of a shipped table, that are left out: they show what a known class shows.
        limit, per_class: at most so many images in all, or of each class, drawn by seed; 0: all.
        level: how far from the known classes, for grouping: "near", "far" or nothing.
        named: also ask for the accuracy among these images' own classes, in a split of this name; only of methods
            whose classifier can be given other class names.
    """

    __pydantic_config__: ClassVar = FORBID

    name: str
    source: Literal["unknown-classes", "groups", "splits"]
    groups: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    where: Literal["id", "covariate"] = "id"
    exclude: tuple[str, ...] = ()
    limit: int = 0
    per_class: int = 0
    level: Literal["", "near", "far"] = ""
    named: str = ""

    def within(self, fold: FoldSpec) -> tuple[str, ...]:
        """Ids of the splits that its images are chosen from in a fold."""
        shifted = (split for one in fold.shifted().values() for split in one.splits)
        return self.splits or (fold.id if self.where == "id" else tuple(shifted))


@dataclass(frozen=True)
class Protocol:
    """How a suite is run and scored.

    Attributes:
        shots: training images per class.
        seeds: the default seeds; each draws its own classes, images and initialisation.
        views: seeded augmented views cached for each training image; epoch e reads view e mod views.
        crop_scale: area range of the training crop.
        flip: mirror training views at random.
        scorers: detection scores to report.
        headline: the scorer shown in leaderboards.
        sampler: how shots are drawn: "even" over a class's domains; "class": of any domain; "domain": shots / domains
            from each domain, once for every class and of any class (what CRoFT's code calls balanced); with 4 shots
            or fewer the same as "class".
        id_filter: positives of detection: "all", or only the "correct"ly classified ones.
        ood_transform: transform of semantic-shift images: "test", or one "train"ing view.
        full_spectrum: also detect with ID and all covariate images together as the positives.
        bank: at most so many training images a class for scores that look at neighbours; 0: the shots.
    """

    __pydantic_config__: ClassVar = FORBID

    shots: int
    seeds: tuple[int, ...]
    views: int
    crop_scale: tuple[float, float]
    flip: bool
    scorers: tuple[str, ...]
    headline: str
    sampler: Literal["even", "class", "domain"] = "even"
    id_filter: Literal["all", "correct"] = "all"
    ood_transform: Literal["test", "train"] = "test"
    full_spectrum: bool = False
    bank: int = 0


@dataclass(frozen=True)
class Suite:
    """A named, versioned evaluation: classes, roles, prompts and protocol, as this module describes them.

    Attributes:
        content: digest of what its families are: shipped pixels, class lists.
        templates: prompts, `{}` for the class name; several are averaged (see method.Task.text).
        shares: how one part's images are dealt out among the roles, or None.
        val: where validation images come from, or None for none.
        reference: positives of detection that are not the ID test images, or None.
        recipe: the named recipe of its methods; those that have no such recipe run with their defaults.
        recipes: method name -> hyper-parameters on top of its own recipe. A value may be by shots: `{ 1 = 10, 2 = 1 }`.
        authors: method name -> what its authors set for these very data, on top of its recipe "authors".
        notes: what a reader of its numbers must know: choices made, and what is not covered.
        limit: images a split of a smoke run, which is no evaluation; 0 for all. No manifest says it.
        home: the user's own file that it is from, whose families it may use; "" for what ships.
        digest: of the manifest's content.
    """

    name: str
    version: int
    title: str
    content: str
    templates: tuple[str, ...]
    classes: ClassDraw
    folds: tuple[FoldSpec, ...]
    semantic: tuple[SemanticSpec, ...]
    protocol: Protocol
    shares: Shares | None = None
    val: ValSpec | None = None
    reference: ReferenceSpec | None = None
    recipe: RecipeName = "croft-comparison"
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    authors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: str = ""
    limit: int = 0
    home: str = field(default="", compare=False)

    def smoke(self, images: int) -> Suite:
        """The same of so many images a split: to see that something runs. Its digest is another."""
        return replace(self, limit=images, title=f"SMOKE RUN of {images} images a split, no evaluation: {self.title}")

    def used(self, fold: FoldSpec, train: bool = True) -> set[str]:
        """Split ids that a fold names; without those that it only trains on where `train` is False."""
        semantic = [split for one in self.semantic for split in one.splits]
        return {*fold.tested, *fold.val, *semantic, *(fold.train if train else ())}

    @cached_property
    def digest(self) -> str:
        """Of everything that decides what is evaluated; recipes are part of a run's parameters instead."""
        content = asdict(self)
        for name in ("recipe", "recipes", "authors", "title", "notes", "home"):
            del content[name]
        if not self.limit:
            del content["limit"]
        if not self.classes.members:
            del content["classes"]["members"]
        return digest(content)

    @property
    def groups(self) -> frozenset[str]:
        """All groups of a shipped table that it names."""
        return frozenset((*self.classes.groups, *(group for spec in self.semantic for group in spec.groups)))

    @property
    def trains(self) -> bool:
        """Whether it has training images."""
        return any(fold.train for fold in self.folds)

    @property
    def official(self) -> bool:
        """Whether it copies a published protocol, faults included."""
        return self.name.endswith("-official")

    @property
    def named(self) -> tuple[str, ...]:
        """Names of the splits in which unknown classes are told apart under their own names."""
        return tuple(spec.named for spec in self.semantic if spec.named)
