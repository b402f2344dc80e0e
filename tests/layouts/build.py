"""Lays a family out on disk as one of its layouts has it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from croftbench.suites.families import SHIPPED, Family, Layout, Part
from croftbench.suites.registry import lines_of
from tests.layouts.pictures import picture
from tests.layouts.reduce import wholes


@dataclass(frozen=True)
class Shot:
    """One image to lay out."""

    name: str
    label: int  # position in the family's classes, -1 for none
    data: bytes


@dataclass(frozen=True)
class Built:
    """What was laid out: where, and part -> (label, bytes) of its images."""

    at: Path
    parts: dict[str, list[tuple[int, bytes]]]


def build(root: Path, family: Family, layout: str | Layout, parts: Sequence[str] = ()) -> Built:
    """Lay out the parts of a family (all that the layout has) below `root`; counts are the manifest's.

    A layout is an object, its name, or "name/kind" where several have that name.
    """
    chosen = layout if isinstance(layout, Layout) else _named(family, layout)
    mine = [p for p in family.parts if chosen.has(p.name) and (not parts or p.name in parts)]
    at = root / _concrete(chosen.at[0])
    shots = _shots(family, chosen, mine)
    WRITERS[chosen.kind](_Writer(root, at, family, chosen), {part.name: shots[part.name] for part in mine})
    return Built(at, {name: [(shot.label, shot.data) for shot in of_part] for name, of_part in shots.items()})


def _named(family: Family, name: str) -> Layout:
    return next(one for one in family.layouts if name in (one.name, f"{one.name}/{one.kind}"))


def _shots(family: Family, layout: Layout, parts: Sequence[Part]) -> dict[str, list[Shot]]:
    """The images of each part; those of a part that is the sum of others are theirs."""
    sums = wholes({part.name: part.images for part in family.parts})
    sums = {name: some for name, some in sums.items() if name in {p.name for p in parts}}
    needed = {p.name for p in parts} - set(sums) | {name for some in sums.values() for name in some}
    shots: dict[str, list[Shot]] = {}
    for domain, part in enumerate(family.parts):
        if part.name in needed:
            shots[part.name] = _atoms(family, layout, part, domain)
    for name, some in sums.items():
        shots[name] = [shot for one in some for shot in shots[one]]
        for file in layout.files_of(name):
            if file.startswith(SHIPPED):
                shots[name] = _atoms(family, layout, family.part(name), 63)
    for part in parts if layout.kind == "folders" else ():  # parts of one folder are the same images
        whole = max((p for p in parts if layout.folders_of(p.name) == layout.folders_of(part.name)), key=_size)
        shots[part.name] = [shot for shot in shots[whole.name] if shot.label in part.members or not part.members]
    return {part.name: shots[part.name] for part in parts}


def _size(part: Part) -> int:
    return len(part.members)


def _atoms(family: Family, layout: Layout, part: Part, domain: int) -> list[Shot]:
    labels = [m for m, n in zip(part.members, part.counts, strict=True) for _ in range(n)] or [-1] * (part.images or 4)
    ending = "JPEG" if family.name.startswith("imagenet") else "jpg"
    prefix = f"{family.name}_" if family.name.startswith("midog") else ""  # four families in one folder
    names = [f"{prefix}{part.name.replace('/', '_')}_{i + 1:05d}.{ending}" for i in range(len(labels))]
    shipped = [file.removeprefix(SHIPPED) for file in layout.files_of(part.name) if file.startswith(SHIPPED)]
    if shipped:
        lines = [line for file in shipped for line in lines_of(family.lists / file)]
        names = [(line.split()[0] if "label" in layout.line else line).rpartition("/")[2] for line in lines]
        if part.members and "label" in layout.line:
            given = [line.split()[-1] for line in lines]
            number = layout.key == "index"
            labels = [part.members[int(one) - layout.first] if number else family.ids.index(one) for one in given]
            pairs = [pair for pair in zip(names, labels, strict=True) if pair[1] in part.members]
            names, labels = [name for name, _ in pairs], [label for _, label in pairs]
    kind = names[0].rpartition(".")[2] if "." in names[0] else "jpg"
    return [
        Shot(name, label, picture(kind, label + 1, domain, i))
        for i, (name, label) in enumerate(zip(names, labels, strict=True))
    ]


def _concrete(pattern: str) -> str:
    """A path that a pattern means."""
    return pattern.replace("*", "00000-of-00001" if pattern.endswith(".parquet") else "0a1b").replace("?", "0")


class _Writer:
    """Writes files, and knows what a class is called here."""

    def __init__(self, root: Path, at: Path, family: Family, layout: Layout) -> None:
        self.root, self.at, self.family, self.layout = root, at, family, layout
        self.aliases = {key: alias for alias, key in reversed(layout.aliases.items())}

    def write(self, path: Path, data: bytes) -> None:
        path = Path(os.path.normpath(path))
        assert path.is_relative_to(self.root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def called(self, part: str, label: int) -> str:
        """The class as this layout spells it."""
        if label < 0:
            return "-1"
        key = self.family.ids[label]
        if key in self.aliases:
            return self.aliases[key]
        if self.layout.key == "index":
            order = [self.family.ids[m] for m in self.family.part(part).members]
            if self.layout.order:
                order = lines_of(self.family.lists / self.layout.order)
            return str(order.index(key) + self.layout.first)
        return key if self.layout.key == "id" else self.family.classnames[label]

    def folder(self, part: str, number: int = 0) -> Path:
        """The part's folder; images are dealt out to several."""
        several = self.layout.folders_of(part)
        return self.at / _concrete(several[number % len(several)])


Shots = dict[str, list[Shot]]


def _folders(to: _Writer, parts: Shots) -> None:
    for part, shots in parts.items():
        for i, shot in enumerate(shots):
            inside = to.called(part, shot.label) if shot.label >= 0 else ""
            to.write(to.folder(part, i) / inside / shot.name, shot.data)


def _flat(to: _Writer, parts: Shots) -> None:
    for part, shots in parts.items():
        for i, shot in enumerate(shots):
            to.write(to.folder(part, i) / shot.name, shot.data)


def _list(to: _Writer, parts: Shots) -> None:
    columns = to.layout.line.split()
    for part, shots in parts.items():
        nested = "path" in columns and "label" not in columns and shots[0].label >= 0
        lines: dict[str, list[str]] = defaultdict(list)
        files = to.layout.files_of(part)
        for i, shot in enumerate(sorted(shots, key=lambda shot: shot.name)):
            path = f"{to.called(part, shot.label)}/{shot.name}" if nested else shot.name
            to.write(to.folder(part) / path, shot.data)
            given = path.rpartition(".")[0] if to.layout.extension else path
            if to.layout.match == "name":
                given = f"some/where/else/{given}"
            cells = {"path": given, "label": to.called(part, shot.label), "-": "1"}
            lines[files[i % len(files)]].append(" ".join(cells[column] for column in columns))
        for file, text in lines.items():
            if not file.startswith(SHIPPED):
                if file.endswith(".csv"):
                    text = ["ImageId,PredictionString", *(line.replace(" ", ",", 1) for line in text)]
                to.write(to.at / file, "".join(f"{line}\n" for line in text).encode())


def _split_json(to: _Writer, parts: Shots) -> None:
    files: dict[str, dict[str, list[tuple[str, int, str]]]] = defaultdict(dict)
    for part, shots in parts.items():
        several = len(to.layout.take.get(part, part).split()) > 1
        entries = []
        for shot in shots:
            folder = to.family.ids[shot.label].replace(" ", "_")
            to.write(to.folder(part) / folder / shot.name, shot.data)
            name = to.called(part, shot.label) if to.layout.key == "name" else to.family.classnames[shot.label]
            label = int(to.called(part, shot.label)) if to.layout.key == "index" else shot.label
            entries.append((f"{folder}/{shot.name}", label, name))
        (file,) = to.layout.files_of(part)
        if not several:
            files[file][to.layout.take.get(part, part)] = entries
    for file, content in files.items():
        to.write(to.at / file, json.dumps(content).encode())


def _webdataset(to: _Writer, parts: Shots) -> None:
    for part, shots in parts.items():
        where = to.folder(part)
        half = (len(shots) + 1) // 2
        for number, some in enumerate((shots[:half], shots[half:])):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as shard:
                for i, shot in enumerate(some):
                    key = f"s{number * half + i:07d}"
                    _member(shard, f"{key}.jpg", shot.data)
                    if shot.label >= 0:
                        label = to.called(part, shot.label)
                        _member(shard, f"{key}.cls", label.encode())
                        _member(shard, f"{key}.json", json.dumps({"label": label, "filename": shot.name}).encode())
            shard = where / f"{number}.tar"
            if where.suffix == ".tar":
                (pattern,) = to.layout.folders_of(part)
                shard = to.at / pattern.replace("*", f"{number:04d}")
            to.write(shard, buffer.getvalue())


def _member(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    shard.addfile(header, io.BytesIO(data))


def _parquet(to: _Writer, parts: Shots) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {name: to.layout.columns.get(name, name) for name in ("image", "label", "part")}
    by_file: dict[Path, list[tuple[str, Shot]]] = defaultdict(list)
    for part, shots in parts.items():
        by_file[to.folder(part)] += [(part, shot) for shot in shots]
    for path, rows in by_file.items():
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        data = {names["image"]: pa.array([{"bytes": s.data, "path": s.name} for _, s in rows], image)}
        features: dict[str, object] = {names["image"]: {"_type": "Image"}}
        if rows[0][1].label >= 0:
            called = [to.called(part, shot.label) for part, shot in rows]
            if to.layout.key == "index":
                data[names["label"]] = pa.array([int(label) for label in called], pa.int64())
            else:  # as `datasets` writes class labels: numbers, and what they mean beside the schema
                order = sorted(set(called))
                data[names["label"]] = pa.array([order.index(label) for label in called], pa.int64())
                features[names["label"]] = {"_type": "ClassLabel", "names": order}
        if "part" in to.layout.columns:
            data[names["part"]] = pa.array([to.layout.take[part] for part, _ in rows])
        table = pa.table(data).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, row_group_size=3)
        shard = path if path.suffix == ".parquet" else path / "data.parquet"
        to.write(shard, buffer.getvalue())


WRITERS = {
    "folders": _folders, "flat": _flat, "list": _list, "split-json": _split_json, "webdataset": _webdataset,
    "parquet": _parquet,
}  # fmt: skip


def names_below(root: Path) -> Iterable[tuple[str, int, int]]:
    """Path, size and time of change of everything below a folder: to see that nothing was written."""
    for path in sorted(root.rglob("*")):
        state = path.stat()
        yield str(path.relative_to(root)), state.st_size, state.st_mtime_ns
