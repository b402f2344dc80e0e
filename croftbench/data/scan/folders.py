"""Scans of images that lie as single files: class folders, flat folders, and lists that name them."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from croftbench.data.scan import near_misses
from croftbench.data.scan.contradictions import Taken, folders_and_labels, names_and_list, numbers_and_names
from croftbench.data.scan.entries import Entry, Source, labels_of, of_json, of_list, shown
from croftbench.data.scan.listing import Listing
from croftbench.data.scan.place import Absent, Collection, Place, is_image
from croftbench.data.scan.tree import Names, is_clutter, join
from croftbench.suites.families import Part


def folders(place: Place, part: Part) -> Listing:
    """Images in class folders, at any depth: `<base>/<class>/x.jpg`, `<base>/a/<class>/frames/x.jpg`."""
    return _everything(place, part, labelled=bool(part.members))


def flat(place: Place, part: Part) -> Listing:
    """All images below a folder, without classes."""
    return _everything(place, part, labelled=False)


def _everything(place: Place, part: Part, labelled: bool) -> Listing:
    collection = _collection(place, part)
    if labelled and (fault := near_misses.other_folders(collection)):
        raise fault
    for base in place.bases(part):
        prefix = "" if base == collection.base else base.removeprefix(collection.base).lstrip("/")
        _descend(collection, base, prefix, "", -1 if labelled else None)
    return collection.listing()


def _descend(collection: Collection, folder: str, prefix: str, inside: str, label: int | None) -> None:
    """Collect a folder: `prefix` starts its paths, `inside` is where it lies in the part's folder.

    `label` is the class that the folder belongs to, -1 while it belongs to none yet, None where there are no classes.
    """
    names = collection.place.tree.names(folder)
    if label == -1 and inside:
        if any(map(is_image, names.files)):
            collection.notes.add("unknown-class", inside)
    else:
        own = _images(collection, names, inside)
        if label == -1:
            for name in own:
                collection.notes.add("unlabelled", name)
        else:
            collection.paths += [f"{prefix}/{name}" for name in own] if prefix else own
            collection.labels += [-1 if label is None else label] * len(own)
    for name in names.folders:
        if collection.place.ignores(name) or is_clutter(name):
            collection.notes.add("ignored", f"{name}/")
            continue
        deeper = join(inside, name)
        below = collection.classes.position(deeper) if label == -1 else label
        _descend(collection, join(folder, name), join(prefix, name), deeper, below)


def _images(collection: Collection, names: Names, inside: str) -> list[str]:
    """The images among a folder's files; the others are noted."""
    own = []
    for name in names.files:
        if collection.place.layout.ignore and collection.place.ignores(name):
            collection.notes.add("ignored", join(inside, name))
        elif is_image(name):
            own.append(name)
        else:
            collection.notes.add("stray", join(inside, name))
    return own


def _collection(place: Place, part: Part) -> Collection:
    """An empty collection; its paths start from the part's folder, or from `at` where the part has several."""
    bases = place.bases(part)
    return Collection(place, part, bases[0] if len(bases) == 1 else place.at)


# ------------------------------------------------------------------------------------------- lists


def listed(place: Place, part: Part) -> Listing:
    """The images that a text file names, in its order, see `Layout.line`."""
    collection = _collection(place, part)
    if "path" not in place.layout.line.split():
        for name, file in place.lists(part):
            _by_position(collection, name, file)
        return _checked(collection)
    index = _Index(place, place.bases(part), collection.base)
    sources = [of_list(name, file, place, part, index.has) for name, file in place.lists(part)]
    _take(collection, index, sources)
    return _checked(collection)


def split_json(place: Place, part: Part) -> Listing:
    """The images that a CoOp split file names: key -> list of [path, label, class name]."""
    collection = _collection(place, part)
    ((name, file),) = place.lists(part)
    by_key, lists = place.layout.key, of_json(name, file)
    numbers_and_names(lists.values(), by_key == "index")
    sources = []
    for key in place.layout.take.get(part.name, part.name).split():
        if key not in lists:
            raise Absent(f"{name} has no key '{key}'", near=True)
        sources.append(lists[key])
    names = {entry.label or "": entry.name for source in sources for entry in source.entries}
    if by_key == "index":
        names_and_list(names, place.family, {number: collection.classes.position(number) for number in names}, name)
    else:
        labelled = by_key == "name"
        kept = [[e._replace(label=e.name if labelled else None) for e in source.entries] for source in sources]
        sources = [replace(source, entries=entries) for source, entries in zip(sources, kept, strict=True)]
    _take(collection, _Index(place, place.bases(part), collection.base), sources)
    return _checked(collection)


def _checked(collection: Collection) -> Listing:
    """What lists gave.

    Raises:
        Absent: nothing, and why.
    """
    if not collection.paths:
        raise near_misses.none(collection)
    return collection.listing()


def _by_position(collection: Collection, name: str, file: Path) -> None:
    """Line N is the label of the folder's Nth image by name."""
    (base,) = collection.place.bases(collection.part)
    images = [image for image in collection.place.tree.names(base).files if is_image(image)]
    for one, after in itertools.pairwise(images):
        if _by_number(after) < _by_number(one):
            why = f"{name} labels the images of {base} in their order, and {one} comes before {after} by name, after it"
            raise Absent(f"{why} by number: write the numbers with leading zeros, or paths into the list", near=True)
    labels = labels_of(name, file, len(images))
    if len(images) != len(labels):
        raise Absent(f"{name} labels {len(labels):,} images, {base} holds {len(images):,}", near=True)
    entries = [Entry(image, label, i) for i, (image, label) in enumerate(zip(images, labels, strict=True), 1)]
    _take(collection, _Index(collection.place, [base], collection.base), [Source(name, entries)])


def _by_number(name: str) -> str:
    return re.sub(r"[0-9]+", lambda number: number[0].zfill(20), name)


def _take(collection: Collection, index: _Index, sources: Sequence[Source]) -> None:
    """Add the entries that are there and whose class is one of the part's."""
    classes, taken = collection.classes, Taken(collection.notes)
    collection.named += [(one.file, entry.path, entry.label) for one in sources for entry in one.entries]
    if fault := near_misses.other_labels(collection):
        raise fault
    for source, entry in ((one, entry) for one in sources for entry in one.entries):
        path, label = index.path_of(entry.path), entry.label
        if path is None and shown(entry.path) != entry.path:
            why = "is no UTF-8, and no image is called by its bytes"
            raise Absent(f"{source.where(entry)}: '{shown(entry.path)}' {why}; save the list as UTF-8", near=True)
        if path is None:
            collection.notes.add("missing-file", entry.path)
            continue
        position = -1
        if classes and label != "-1":
            position = _through(collection, path) if label is None else classes.position(label)
            if position < 0:
                collection.notes.add("unlabelled", path)
                continue
        if not taken.again(path, position, source, entry):
            collection.paths.append(path)
            collection.labels.append(position)
    if classes and any(entry.label is not None for source in sources for entry in source.entries[:1]):
        where = " and ".join(dict.fromkeys(source.file for source in sources))
        own = collection.place.family, collection.part, collection.notes
        folders_and_labels(collection.paths, collection.labels, *own, where)


def _through(collection: Collection, path: str) -> int:
    """The class whose folder a path goes through; the innermost that is one."""
    *steps, _ = path.split("/")
    tails = ("/".join(steps[i:]) for i in range(len(steps)))
    heads = (step for step in reversed(steps))
    return next((label for name in (*tails, *heads) if (label := collection.classes.position(name)) >= 0), -1)


class _Index:
    """Where the images are that a list names."""

    def __init__(self, place: Place, bases: list[str], start: str) -> None:
        self.tree, self.bases, self.skip = place.tree, bases, len(start) + 1 if start else 0
        self.extension, self.by_name = place.layout.extension, place.layout.match == "name"
        self._files: dict[str, frozenset[str]] = {}
        self._named: dict[str, str | None] = {}
        if self.by_name:
            for base in bases:
                for folder, names in place.tree.walk(base):
                    for name in names.files:
                        self._named[name] = None if name in self._named else join(folder, name)

    def path_of(self, given: str) -> str | None:
        """The path, from the listing's base, of the image that a list calls this; None where it is not there."""
        found = self._path_of(given)
        return self._path_of(given.replace("\\", "/")) if found is None and "\\" in given else found

    def has(self, given: str) -> bool:
        return self.path_of(given) is not None

    def _path_of(self, given: str) -> str | None:
        path = re.sub(r"^(\./|/)+", "", given)
        if ".." in path.split("/"):
            return None
        if self.extension and not is_image(path):
            path += self.extension
        if self.by_name:
            located = self._named.get(path.rpartition("/")[2])
            return None if located is None else located[self.skip :]
        for base in self.bases:
            whole = join(base, path)
            folder, _, name = whole.rpartition("/")
            if name in self._inside(folder):
                return whole[self.skip :]
            if not path.isascii() and (spelt := self._composed(base, path)):
                return spelt[self.skip :]
        return None

    def _composed(self, base: str, path: str) -> str:
        """The image whose path differs in how its accents are composed, as between macOS and others; or ""."""
        *steps, last = path.split("/")
        for step in steps:
            base = next((join(base, name) for name in self.tree.names(base).folders if _same(name, step)), "")
            if not base:
                return ""
        return next((join(base, name) for name in self.tree.names(base).files if _same(name, last)), "")

    def _inside(self, folder: str) -> frozenset[str]:
        if folder not in self._files:
            self._files[folder] = frozenset(self.tree.names(folder).files)
        return self._files[folder]


def _same(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
