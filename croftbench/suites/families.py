"""What the registry knows of a dataset family: its parts, its classes, the layouts it is met in. No I/O, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from croftbench.errors import unknown
from croftbench.suites.language import FORBID

SHIPPED = "lists/"
"""How a layout's `file` begins that lies beside the manifests."""

PRIVATE = "private"
"""The licence of a folder whose manifest names none."""

Kind = Literal["folders", "flat", "list", "split-json", "webdataset", "parquet", "package"]
State = Literal["complete", "variant", "incomplete", "uncounted"]


@dataclass(frozen=True)
class Variant:
    """Another legitimate number of images of a part, and where it comes from."""

    __pydantic_config__: ClassVar = FORBID
    images: int
    note: str


@dataclass(frozen=True)
class Get:
    """Where a family can be fetched from.

    Attributes:
        via: "from" in a manifest: the hub, a torchvision dataset, plain addresses, by hand; "" for what ships.
        repo, revision, files: the hub's dataset repository, its commit or branch, and patterns of wanted files.
        dataset: class name in torchvision.datasets.
        urls: addresses of archives or files, their digests in the family's `archives`.
        say: what a user must do by hand, one sentence.
    """

    __pydantic_config__: ClassVar = FORBID
    via: Annotated[Literal["huggingface", "torchvision", "address", "hand", ""], Field(alias="from")] = ""
    repo: str = ""
    revision: str = "main"
    files: tuple[str, ...] = ()
    dataset: str = ""
    urls: tuple[str, ...] = ()
    say: str = ""


@dataclass(frozen=True)
class Archive:
    """A published archive of the family; "" and 0 stand for what is not known."""

    __pydantic_config__: ClassVar = FORBID
    file: str
    md5: str = ""
    sha256: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class Part:
    """Images of a family that can play a role together: a domain, a published split.

    Attributes:
        name: within the family; may hold "/", e.g. "gaussian_noise/1".
        images: expected number; 0 where nobody knows.
        per_class: expected number of each of the part's classes, or one number for all; () where nobody knows.
        subset: the ids of the classes that the part has, in label order, or the file of lists/ with them; "" for all.
        exclude: file of lists/ with paths, as from `at`, that are on disk but no part of it.
        variants: other numbers that are known and legitimate.
        digest: SHA-256 of its sorted relative paths, a line each (`layouts.digest`); "" where nobody recorded it.
        note: what a user should know, one line.
        members: the part's classes as positions in the family's; filled in when the manifest is read.
    """

    __pydantic_config__: ClassVar = FORBID
    name: str
    images: int = 0
    per_class: int | tuple[int, ...] = ()
    subset: str | tuple[str, ...] = ""
    exclude: str = ""
    variants: tuple[Variant, ...] = ()
    digest: str = ""
    note: str = ""
    members: tuple[int, ...] = ()

    @property
    def counts(self) -> tuple[int, ...]:
        """Expected number of images for each of `members`; () where nobody knows."""
        return self.per_class if isinstance(self.per_class, tuple) else (self.per_class,) * len(self.members)


def _several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """One text as several, of which it is the only one."""
    return (value,) if isinstance(value, str) else value


@dataclass(frozen=True)
class Layout:
    """One way in which a family lies on people's disks.

    Attributes:
        name: the project or tool that it comes from: coop, croft, mcm, openood, domainbed, torchvision, ...; "own"
        kind: how pictures and labels are found, see `data.scan.layouts`.
        at: folders under the data root that it is met in; "." is the root, "*" and "?" match as in a shell.
        parts: the parts that it has; () for all.
        folder: where a part's images are, below `at`; "{part}" stands for its name. Shards' folder or pattern.
        folders: the same where a part differs from `folder`; several folders are joined.
        key: what names a class on disk: its id, its name, or its position among the part's classes.
        order: file of lists/ with class ids in the order that positions mean here; "" for the part's own.
        first: position of the first class: 1 where people count from one.
        aliases: class as called on disk -> class id.
        ignore: names and patterns of files and class folders that are known not to belong (said, not counted).
        file: the list or JSON file, below `at`; "{part}" stands for the part's name; "lists/NAME" is one that ships.
        files: the same where a part differs; several files are joined.
        file_in: further folders under the data root in which the file is looked for.
        line: columns of a list's line: path, label, - for one that is not needed, or =value for one that must say so
            (a table's column of splits; "a|b" is either). Without a path, line N is the
            folder's Nth image by name; without a label, the class is the folder that the path goes through.
        extension: what a list's paths lack, e.g. ".jpg".
        match: whether a list's paths mean the path below the folder, or only the file's name, wherever it is.
        take: part -> what of a file belongs to it: keys of a split JSON ("train val"), a value of the part column.
        columns: parquet: names of the "image", "label" and "part" columns, where they differ from these words.
        sha256: package: digest of the shipped pixels.
    """

    __pydantic_config__: ClassVar = FORBID
    name: str = "own"
    kind: Kind = "folders"
    at: Annotated[tuple[str, ...], BeforeValidator(_several)] = (".",)
    parts: tuple[str, ...] = ()
    folder: str = "{part}"
    folders: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    key: Literal["id", "name", "index"] = "id"
    order: str = ""
    first: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    file: str = ""
    files: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    file_in: tuple[str, ...] = ()
    line: str = "path label"
    extension: str = ""
    match: Literal["path", "name"] = "path"
    take: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[Literal["image", "label", "part"], str] = field(default_factory=dict)
    sha256: str = ""

    def has(self, part: str) -> bool:
        return not self.parts or part in self.parts

    def folders_of(self, part: str) -> tuple[str, ...]:
        """Where a part's images are, below `at`."""
        return _several(self.folders.get(part, self.folder.replace("{part}", part)))

    def files_of(self, part: str) -> tuple[str, ...]:
        """The files that say what is in a part."""
        return _several(self.files.get(part, self.file.replace("{part}", part) or ()))


@dataclass(frozen=True)
class Family:
    """One dataset family: the parts of one origin and one label space.

    Attributes:
        name, title: for commands and for people.
        licence: SPDX where there is an identifier, else words.
        homepage, source, citation: where a user goes, who made it from what, BibTeX.
        unverified: dotted keys that nobody could check.
        ids: class ids in label order; () for images without classes.
        classnames: the class names, in the same order.
        get: where it can be fetched.
        archives: published archives and their digests.
        parts, layouts: see there.
        lists: folder of the lists that parts and layouts name.
        root: "" where layouts lie below the data root; else the folder that they lie below: an absolute path, or
            "hf://datasets/owner/name" for the hub's snapshot in its cache. A path that is not there is not looked at.
    """

    name: str
    title: str
    licence: str
    homepage: str
    source: str
    citation: str
    unverified: tuple[str, ...]
    ids: tuple[str, ...]
    classnames: tuple[str, ...]
    get: Get
    archives: tuple[Archive, ...]
    parts: tuple[Part, ...]
    layouts: tuple[Layout, ...]
    lists: Path
    root: str = ""

    @cached_property
    def _parts(self) -> dict[str, Part]:
        return {part.name: part for part in self.parts}

    def part(self, name: str) -> Part:
        """The part of that name.

        Raises:
            UsageError: there is none.
        """
        try:
            return self._parts[name]
        except KeyError:
            raise unknown(f"part of {self.name}", name, self._parts) from None

    def split_id(self, part: str) -> str:
        """What the part is called outside the family: its own name is left out where it is the only one."""
        return self.name if len(self.parts) == 1 else f"{self.name}/{part}"

    @property
    def shipped(self) -> bool:
        """Whether the package holds the images, so that no data folder is needed."""
        return any(layout.kind == "package" for layout in self.layouts)

    @property
    def content(self) -> str:
        """Digest of shipped pixels; "" for a family on the user's disk, whose files are looked at when encoded."""
        return next((layout.sha256 for layout in self.layouts if layout.kind == "package"), "")
