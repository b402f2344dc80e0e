"""Scans of images that lie as single files: class folders, flat folders, and lists that name them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from croftbench.data.scan import near_misses
from croftbench.data.scan.listing import Listing
from croftbench.data.scan.place import Absent, Collection, Place, is_image
from croftbench.data.scan.tree import Names, is_clutter, join
from croftbench.suites.families import Part

ListRows = Iterable[tuple[str, str | None]]
"""Path and label of each image of a list, as its file has them."""


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
    columns = place.layout.line.split()
    for name, lines in place.texts(part):
        rows = [line.replace(",", " ") for line in lines[1:]] if name.endswith(".csv") else lines  # a header first
        if "path" in columns:
            _take(collection, name, _columns(rows, columns, from_right=place.layout.key == "index"))
        else:
            _take(collection, name, _by_position(collection, rows, name))
    return _checked(collection)


def split_json(place: Place, part: Part) -> Listing:
    """The images that a CoOp split file names: key -> list of [path, label, class name]."""
    collection = _collection(place, part)
    (name,) = place.layout.files_of(part.name)
    path = place.file(name)
    keys = place.layout.take.get(part.name, part.name).split()
    try:
        content = json.loads((place.tree.root / path).read_text(encoding="utf-8"))
        for key in keys:
            entries = [(str(image), int(label), str(text)) for image, label, text in content[key]]
            if place.layout.key == "index":
                _take(collection, path, ((image, str(label)) for image, label, _ in entries))
            else:
                by_name = place.layout.key == "name"
                _take(collection, path, ((image, text if by_name else None) for image, _, text in entries))
    except KeyError as error:
        raise Absent(f"{path} has no key {error}", near=True) from error
    except (ValueError, TypeError) as error:  # not JSON, not UTF-8, or not lists of three
        raise Absent(f"{path} is no split file: {error}", near=True) from error
    return _checked(collection)


def _checked(collection: Collection) -> Listing:
    """What lists gave.

    Raises:
        Absent: nothing, and why; or its classes are counted from another number.
    """
    if (fault := near_misses.other_labels(collection)) or (
        not collection.paths and (fault := near_misses.none(collection))
    ):
        raise fault
    return collection.listing()


def _columns(lines: Iterable[str], columns: list[str], from_right: bool) -> Iterator[tuple[str, str | None]]:
    """Path and label of each line. The first column may hold spaces where labels are numbers, else the last one may."""
    count, path = len(columns) - 1, columns.index("path")
    label = columns.index("label") if "label" in columns else None
    for line in lines:
        text = line.strip()
        cells = (text.rsplit if from_right else text.split)(maxsplit=count) if count else [text]
        yield cells[path], cells[label] if label is not None and label < len(cells) else None


def _by_position(collection: Collection, lines: list[str], name: str) -> ListRows:
    """Line N is the label of the folder's Nth image by name."""
    (base,) = collection.place.bases(collection.part)
    images = [file for file in collection.place.tree.names(base).files if is_image(file)]
    if len(images) != len(lines):
        raise Absent(f"{name} labels {len(lines):,} images, {base} holds {len(images):,}", near=True)
    return zip(images, (line.strip() for line in lines), strict=True)


def _take(collection: Collection, file: str, entries: ListRows) -> None:
    """Add the entries of a file that are there and whose class is one of the part's."""
    place, classes = collection.place, collection.classes
    bases = place.bases(collection.part)
    index = _Index(place, bases, collection.base)
    for given, label in entries:
        collection.named.append((file, given, label))
        path = index.path_of(given)
        if path is None:
            collection.notes.add("missing-file", given)
            continue
        position = -1
        if classes and label != "-1":
            position = _through(collection, path) if label is None else classes.position(label)
            if position < 0:
                collection.notes.add("unlabelled", path)
                continue
        collection.paths.append(path)
        collection.labels.append(position)


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
        if "\\" in given and (path := self.path_of(given.replace("\\", "/"))) is not None:
            return path  # written on Windows
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
        return None

    def _inside(self, folder: str) -> frozenset[str]:
        if folder not in self._files:
            self._files[folder] = frozenset(self.tree.names(folder).files)
        return self._files[folder]
