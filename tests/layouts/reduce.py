"""A copy of the manifests with short class lists and small counts, so that whole suites fit into a test."""

from __future__ import annotations

import gzip
import json
import shutil
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

from croftbench.suites import registry, toml
from croftbench.suites.families import SHIPPED


def reduced(folder: Path, classes: int = 6, images: int = 2, source: Path | None = None) -> Path:
    """Copy the manifests into `folder`, every class list cut to about `classes` and every class to `images` an atom.

    A part that is the sum of others (val = 45,000 + 5,000) stays so. What ships with the package stays whole.
    """
    source = source or toml.root()
    shutil.copytree(source, folder)
    cut = _Cut(source, folder, classes, images)
    for path in sorted((folder / "splits").glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        if all(layout["kind"] != "package" for layout in data["layouts"]):
            path.write_text(dumps(cut.family(data)), encoding="utf-8")
    return folder


def wholes(counts: dict[str, int]) -> dict[str, list[str]]:
    """Parts that are the sum of others, by their numbers of images, and which these are."""
    parts_of: dict[str, list[str]] = {}
    atoms: set[str] = set()
    if len(counts) > 6:
        return parts_of
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        others = [other for other in counts if other != name and 0 < counts[other] < count]
        sums = (some for size in range(2, len(others) + 1) for some in combinations(others, size))
        fitting = next((some for some in sums if sum(counts[one] for one in some) == count), None)
        if name == "test":  # SUN397 tests on as many images as it trains and validates on
            continue
        if fitting and name not in atoms:
            parts_of[name] = list(fitting)
            atoms.update(fitting)
    return parts_of


class _Cut:
    """Class lists are shared by families, so what is kept of each is decided before any is cut."""

    def __init__(self, source: Path, folder: Path, classes: int, images: int) -> None:
        self.source, self.folder, self.images = source, folder, images
        self.keep: dict[str, list[str]] = {}
        wanted: dict[str, set[str]] = {}
        for path in (source / "splits").glob("*.toml"):
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            if file := data.get("classes"):
                lists = [self._ids(file)] + [self._ids(p["subset"]) for p in data["parts"] if p.get("subset")]
                kept = wanted.setdefault(file, set())
                for ids in lists:
                    kept |= set(ids[:classes])
        for file, kept in wanted.items():
            self.keep[file] = [key for key in self._ids(file) if key in kept]
            lines = [line for line in self._lines(file) if line.split("\t")[0] in kept]
            self._write(file, lines)
        self.listed: dict[str, dict[str, int]] = {}

    def family(self, data: dict[str, Any]) -> dict[str, Any]:
        """A family's manifest with what is left of its classes and counts."""
        ids = self.keep.get(data.get("classes", ""), [])
        full = self._ids(data["classes"]) if ids else []
        sums = wholes({part["name"]: part.get("images", 0) for part in data["parts"]})
        shipped = self._shipped(data, ids, full)
        for part in data["parts"]:
            mine = ids
            if part.get("subset"):
                mine = [key for key in self._ids(part["subset"]) if key in ids]
                self._write(part["subset"], mine)
            each = self.images * max(1, len(sums.get(part["name"], ())))
            counts = [shipped.get(part["name"], {}).get(key, each) for key in mine]
            part.pop("digest", None)
            part.pop("variants", None)
            part.pop("per_class", None)
            part["images"] = sum(counts) if mine else shipped.get(part["name"], {}).get("", each)
            if mine:
                part["per_class"] = counts
        for layout in data["layouts"]:
            layout["aliases"] = {alias: key for alias, key in layout.get("aliases", {}).items() if key in ids}
            if layout.get("order"):
                self._write(layout["order"], [key for key in self._ids(layout["order"]) if key in ids])
        return data | {"unverified": []}

    def _shipped(self, data: dict[str, Any], ids: list[str], full: list[str]) -> dict[str, dict[str, int]]:
        """Cut the lists that ship; part -> class -> images that they name, where a part has such a list."""
        named: dict[str, dict[str, int]] = {}
        for layout in data["layouts"]:
            for part in data["parts"]:
                given = layout.get("files", {}).get(
                    part["name"], layout.get("file", "").replace("{part}", part["name"])
                )
                mine = not layout.get("parts") or part["name"] in layout["parts"]
                for file in [given] if isinstance(given, str) else given:
                    if mine and file.startswith(SHIPPED):
                        counts = named.setdefault(part["name"], {})
                        for key, count in self._listed(file.removeprefix(SHIPPED), layout, ids, full).items():
                            counts[key] = counts.get(key, 0) + count
        return named

    def _listed(self, file: str, layout: dict[str, Any], ids: list[str], full: list[str]) -> dict[str, int]:
        """Cut one list: so many of each class, positions moved to where the class is now; class -> images kept."""
        if file in self.listed:
            return self.listed[file]
        first, kept, counts = layout.get("first", 0), [], dict.fromkeys(ids or [""], 0)
        for line in self._lines(file):
            path, _, label = line.rpartition(" ")
            key = "" if not ids else full[int(label) - first] if layout.get("key") == "index" else label
            if counts.get(key, 9) < 2 * self.images:
                counts[key] += 1
                moved = str(ids.index(key) + first) if layout.get("key") == "index" else label
                kept.append(f"{path} {moved}".strip() if ids else line)
        self._write(file, kept)
        self.listed[file] = counts
        return counts

    def _ids(self, file: str) -> list[str]:
        return [line.split("\t")[0] for line in self._lines(file)]

    def _lines(self, file: str) -> list[str]:
        return registry.lines_of(self.source / "lists" / file)

    def _write(self, file: str, lines: list[str]) -> None:
        text = "".join(line + "\n" for line in lines).encode()
        (self.folder / "lists" / file).write_bytes(gzip.compress(text) if file.endswith(".gz") else text)


def dumps(data: dict[str, Any]) -> str:
    """A manifest's content as TOML: values on a line each, arrays of tables below."""
    plain = [f"{_key(k)} = {_value(v)}" for k, v in data.items() if not _tables(v)]
    tables = [
        "\n".join(["", f"[[{key}]]", *(f"{_key(k)} = {_value(v)}" for k, v in table.items())])
        for key, several in data.items()
        if _tables(several)
        for table in several
    ]
    return "\n".join(plain + tables) + "\n"


def _tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
