"""What a folder of somebody's images holds: groups of pictures with their classes, before anyone has described it.

Known are class folders, such folders below the names of splits or of domains, lists of path and label, WebDataset's
tar shards, and Parquet files as the Hugging Face hub has them. Nothing is decoded, and nothing is written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from croftbench import texts
from croftbench.data.scan.place import is_image
from croftbench.data.scan.shards import table_of, wds_samples
from croftbench.data.scan.tree import Tree, join
from croftbench.errors import DataError
from croftbench.suites.families import Kind

SPLITS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst", "eval"),
}
"""Role -> what people call its folder or file, in any case."""

ALIKE = 0.5
"""Share of classes that two folders must have in common to be two domains of one data set."""

NAMES = ("classnames.txt", "classes.txt", "labels.txt", "class_names.txt")
PATHS = ("path", "file", "filename", "file_name", "image", "image_path", "filepath", "img")
COLUMN = ("split", "set", "subset", "partition", "fold")
LABELS = ("label", "class", "target", "classname", "class_name", "category", "labels", "fine_label", "label_id")


@dataclass(frozen=True)
class Group:
    """Images that can play a role together.

    Attributes:
        name: of the folder or file; "" for all there is.
        kind: how its layout is called, see `suites.families.Layout`, of which the next ones are keys too.
        folder, file, line, key, first, columns: as there.
        classes: class as called on disk -> number of images; none where nothing says it.
        images: how many.
    """

    name: str
    kind: Kind
    folder: str = "."
    classes: Mapping[str, int] = field(default_factory=dict)
    images: int = 0
    file: str = ""
    line: str = ""
    key: str = "id"
    first: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def split(self) -> str:
        """The role that its name says, or ""."""
        return next((role for role, called in SPLITS.items() if self.name.casefold() in called), "")


@dataclass(frozen=True)
class Found:
    """A folder and what is in it.

    Attributes:
        root: the folder.
        what: how it is laid out, in words.
        groups: the images.
        templates: prompts that came with it.
    """

    root: Path
    what: str
    groups: tuple[Group, ...]
    templates: tuple[str, ...] = ()


def look(where: Path) -> Found:
    """What a folder, or a list of path and label, holds.

    Raises:
        DataError: no images are there, or nothing says what they show.
    """
    if where.is_file():
        return Found(where.parent, "a list", tuple(_listed(where)))
    if not where.is_dir():
        raise DataError(f"there is no folder {where}.", "Name a folder of images, or a list of path and label.")
    if snapshots := sorted(where.glob("snapshots/*"), key=lambda one: one.stat().st_mtime):
        return look(snapshots[-1])
    for what, pattern, read in (("Parquet files", "*.parquet", _parquet), ("WebDataset shards", "*.tar", _webdataset)):
        shards = sorted(path for depth in ("", "*/", "*/*/") for path in where.glob(depth + pattern))
        if shards:
            return Found(where, what, tuple(read(where, shards)), _templates(where))
    tree = Tree(where)
    groups = _folders(tree)
    if groups is None:
        lists = [where / name for name in tree.names("").files if name.endswith((".csv", ".tsv", ".txt"))]
        groups = [group for path in lists if path.name not in NAMES and _rows(path) for group in _listed(path)]
        return Found(where, "lists of path and label", _some(where, groups))
    domains = len(groups) > 1 and not any(group.split for group in groups)
    what = (
        "domains with class folders" if domains else "splits with class folders" if len(groups) > 1 else "class folders"
    )
    return Found(where, what, _some(where, groups))


def _some(where: Path, groups: list[Group]) -> tuple[Group, ...]:
    if not groups:
        raise DataError(
            f"{where} holds no images in class folders, no list of path and label, and no shards.",
            "Put the images of each class into a folder of its own: FOLDER/train/<class>/*.jpg.",
        )
    return tuple(groups)


# ------------------------------------------------------------------------------- folders


def _folders(tree: Tree) -> list[Group] | None:
    """Groups of class folders; None where there are no folders with images."""
    below = {name: _classes(tree, name) for name in _visible(tree, "")}
    direct = {name: _images(tree, name) for name in below}
    below = {name: classes for name, classes in below.items() if classes or direct[name]}
    if not below:
        return None
    named = [name for name in below if Group(name, "folders").split]
    sets = [set(classes) for classes in below.values() if classes]
    alike = any(len(a & b) >= ALIKE * min(len(a), len(b)) for i, a in enumerate(sets) for b in sets[:i])
    if not named and not alike:
        if len(below) == 1 and not any(direct.values()):
            (name,) = below
            return [_moved(name, one) for one in _folders(Tree(tree.root / name)) or ()]
        classes = {name: direct[name] + sum(below[name].values()) for name in below}
        return [Group("", "folders", ".", classes, sum(classes.values()))]
    groups = []
    for name, classes in below.items():
        deeper = [set(_classes(tree, join(name, one))) for one in classes if not _images(tree, join(name, one))]
        if len(deeper) > 1 and all(deeper) and len(set.intersection(*deeper)) >= ALIKE * min(map(len, deeper)):
            raise DataError(
                f"{tree.root / name} holds folders of class folders, a level more than can be read.",
                f"Describe one of them at a time: `croftbench data new {tree.root / name}`.",
            )
        images = direct[name] + sum(classes.values())
        groups.append(Group(name, "folders" if classes else "flat", name, classes, images))
    return groups


def _moved(folder: str, group: Group) -> Group:
    return Group(group.name, group.kind, join(folder, group.folder).removesuffix("/."), group.classes, group.images)


def _visible(tree: Tree, folder: str) -> list[str]:
    return [name for name in tree.names(folder).folders if not name.startswith((".", "__"))]


def _images(tree: Tree, folder: str) -> int:
    return sum(map(is_image, tree.names(folder).files))


def _classes(tree: Tree, folder: str) -> dict[str, int]:
    """Folders with images below one, and how many."""
    counts = {
        name: sum(sum(map(is_image, names.files)) for _, names in tree.walk(join(folder, name)))
        for name in _visible(tree, folder)
    }
    return {name: count for name, count in counts.items() if count}


# ------------------------------------------------------------------------------- lists


def _listed(path: Path) -> list[Group]:
    """What a list holds; of a table with a column of splits, a group for each of these."""
    rows, line, label = _rows(path), "path label", 1
    if not rows:
        raise DataError(f"{path} is no list of path and label.", "A line an image: path,label below a header, as CSV.")
    if path.suffix == ".csv":
        header = [cell.strip().casefold() for cell in rows[0]]
        at = [next((i for i, cell in enumerate(header) if cell in known), -1) for known in (PATHS, LABELS)]
        if min(at) < 0:
            raise DataError(f"the header of {path} names no path and label.", "Call its columns 'path' and 'label'.")
        rows, label = rows[1:], at[1]
        by = next((i for i, cell in enumerate(header) if cell in COLUMN), -1)
        words = {at[0]: "path", at[1]: "label", by: "="}
        line = " ".join(words.get(i, "-") for i in range(len(header)))
        if by >= 0:
            said = dict.fromkeys(row[by].strip() for row in rows)
            if bad := [one for one in said if not re.fullmatch(r"[^\s|]+", one)]:
                raise DataError(f"{path} has a split '{bad[0]}'.", "A split is one word, such as train, val or test.")
            chosen = {one: [row for row in rows if row[by].strip() == one] for one in said}
            return [_group(path, chosen[one], label, line.replace("=", f"={one}"), one) for one in said]
    return [_group(path, rows, label, line, path.stem)]


def _group(path: Path, rows: list[list[str]], label: int, line: str, name: str) -> Group:
    classes = Counter(row[label].strip() for row in rows)
    numbers = all(name.isdigit() for name in classes)
    names = _names(path.parent) if numbers else []
    if not names:
        return Group(name, "list", ".", classes, len(rows), path.name, line)
    first = 0 if "0" in classes else 1
    counts = {name: classes[str(i + first)] for i, name in enumerate(names)}
    return Group(name, "list", ".", counts, len(rows), path.name, line, "index", first)


def _rows(path: Path) -> list[list[str]]:
    """The lines of a list as cells; none where it is another text."""
    try:
        if path.suffix == ".csv":
            rows = [list(row.cells) for row in texts.rows(path)]
        else:
            rows = [line.rsplit(maxsplit=1) for _, line in texts.lines(path)]
    except texts.TextError:
        return []
    sample = rows[1 if path.suffix == ".csv" else 0 :][:5]
    images = all(any(is_image(cell.strip().rsplit("/", 1)[-1]) for cell in row) for row in sample)
    return rows if sample and images and all(len(row) > 1 for row in rows) else []


def _names(folder: Path) -> list[str]:
    """The class names, a line each, that lie beside the images."""
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    return [] if path is None else [line for _, line in texts.lines(path, comments=True)]


# ------------------------------------------------------------------------------- shards


def _by_split(root: Path, shards: list[Path]) -> Iterator[tuple[str, str, list[Path]]]:
    """Name, pattern below the root and files of each split."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in shards:
        folder = path.parent.relative_to(root).as_posix()
        numbered = re.fullmatch(r"(.*?)[-_.]?\d+(?:-of-\d+)?", path.stem)
        stem = numbered[1] if numbered else path.stem
        groups.setdefault((folder, stem), []).append(path)
    for (folder, stem), files in groups.items():
        pattern = f"{stem}*{files[0].suffix}" if stem else f"*{files[0].suffix}"
        yield stem or folder.rsplit("/", 1)[-1], pattern if folder == "." else f"{folder}/{pattern}", files


def _parquet(root: Path, shards: list[Path]) -> Iterator[Group]:
    for name, pattern, files in _by_split(root, shards):
        columns, spelt = table_of(files[0])
        image = next((one for one in columns if one.casefold() in PATHS), "")
        label = next((one for one in columns if one in spelt), "") or next(
            (one for one in columns if one.casefold() in LABELS), ""
        )
        if not image:
            raise DataError(f"{files[0]} has no column of images (it has {', '.join(columns)}).", "Call it 'image'.")
        said = {"image": image, "label": label} if label else {"image": image}
        counts: Counter[str] = Counter()
        for file in files:
            counts.update(_column(file, label) if label else {"": _length(file)})
        listed = list(spelt.get(label, {}).values())
        names = listed or ([] if any(not one.isdigit() for one in counts) else _names(root))
        classes = {one: counts[str(i)] for i, one in enumerate(names)} if names else dict(counts)
        key = "index" if names and not listed else "id"
        yield Group(name, "parquet", pattern, classes if label else {}, counts.total(), key=key, columns=said)


def _column(file: Path, label: str) -> Counter[str]:
    import pyarrow.parquet as pq

    return Counter(map(str, pq.read_table(file, columns=[label])[label].to_pylist()))


def _length(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.ParquetFile(file).metadata.num_rows)


def _webdataset(root: Path, shards: list[Path]) -> Iterator[Group]:
    names = _names(root)
    for name, pattern, files in _by_split(root, shards):
        counts = Counter(label or "" for file in files for _, label in wds_samples(file))
        if set(counts) == {""}:
            yield Group(name, "webdataset", pattern, {}, counts.total())
        elif names and all(one.isdigit() for one in counts):
            classes = {one: counts[str(i)] for i, one in enumerate(names)}
            yield Group(name, "webdataset", pattern, classes, counts.total(), key="index")
        else:
            yield Group(name, "webdataset", pattern, dict(sorted(counts.items())), counts.total())


def _templates(root: Path) -> tuple[str, ...]:
    """Prompts as the clip-benchmark's data sets bring them, with {c} for the class."""
    path = root / "zeroshot_classification_templates.txt"
    lines = texts.lines(path) if path.is_file() else []
    return tuple(line.replace("{c}", "{}") for _, line in lines if "{c}" in line)
