"""A suite over somebody's folder as a TOML file: short, commented, and to be changed."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from croftbench.data.cast import Cast, Data, Part
from croftbench.data.looking import Group

WIDTH = 116


def to_toml(cast: Cast) -> str:
    """The suite's file."""
    lines = [
        *_comments(cast.said),
        f"# Change what you like, then: {cast.next} {cast.name}.toml",
        "# On another machine without these folders: add --data-root FOLDER.",
        f"name = {_text(cast.name)}",
        "version = 1  # raise it when you change what is evaluated",
        f"title = {_text(f'Images of {cast.name}')}",
        f"templates = {_list(cast.templates or ('a photo of a {}.',))}",
    ]
    for data in cast.data:
        lines += _family(data)
    if cast.share:
        test = round(1 - cast.share, 6)
        lines += ["", "[shares]  # of the images of each class; which ones is the same for every seed"]
        lines += ['unit = "image"', f"train = {cast.share}", "val = 0.0", f"test = {test}"]
    if cast.validates:
        lines += ["", "[val]  # images that no shot took", 'source = "train"', f"per_class = {cast.shots}"]
    for fold in cast.folds:
        lines += [
            "",
            "[[folds]]",
            f"name = {_text(fold.name)}",
            f"train = {_list(fold.train)}" + ("" if fold.train else "  # so methods that train are left out"),
            f"id = {_list(fold.id)}",
        ]
        lines += [f"val = {_list(fold.val)}"] if fold.val else []
        if fold.covariate:
            lines.append(f"covariate = {_table(fold.covariate)}")
    for name, split in cast.unknown.items():
        lines += ["", "[[semantic]]  # unknown classes", f"name = {_text(name)}"]
        lines += ['source = "splits"', f"splits = {_list([split])}"]
    lines += [
        "", "[protocol]", f"shots = {cast.shots}", *_drawn(cast), "crop_scale = [0.6, 1.0]",
        "flip = true  # false where left and right differ, as in text",
        'scorers = ["energy", "msp", "mcm", "max_logit"]', 'headline = "energy"',
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _drawn(cast: Cast) -> list[str]:
    return ["seeds = [1, 2, 3]", "views = 8"] if cast.trains else ["seeds = [1]  # nothing is drawn", "views = 1"]


def _comments(said: Iterable[str]) -> list[str]:
    return [f"# {line}" for one in said for line in textwrap.wrap(one, WIDTH - 2)]


def _family(data: Data) -> list[str]:
    whole = tuple(data.classes)
    lines = ["", "[[families]]", f"name = {_text(data.name)}", f"root = {_text(data.root)}"]
    plain = all(key == name for key, name in data.classes.items())
    if data.classes and plain:
        lines.append(f"classes = {_list(whole)}")
    parts = []
    for part in data.parts:
        subset = f", subset = {_list(part.subset)}" if part.subset and part.subset != whole else ""
        parts.append(f"{{ name = {_text(part.name)}{subset} }},  # {part.images} images")
    lines += ["parts = [", *(f"  {one}" for one in parts), "]", "layouts = ["]
    lines += [f"  {_layout(alike, len(data.parts))}," for alike in _alike(data.parts)]
    lines.append("]")
    if not plain:
        lines += ["", "[families.classes]  # as called on disk = as called in prompts"]
        lines += [f"{_key(key)} = {_text(name)}" for key, name in data.classes.items()]
    return lines


def _alike(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts that one layout describes."""
    groups: dict[tuple[object, ...], list[Part]] = {}
    for part in parts:
        of = part.group
        key = (of.kind, of.line, of.key, of.first, tuple(of.columns.items()), _index_classes(part))
        groups.setdefault(key, []).append(part)
    return list(groups.values())


def _index_classes(part: Part) -> tuple[str, ...]:
    """Where numbers stand for classes: all of them, in the order of the numbers."""
    return tuple(part.group.classes) if part.group.key == "index" else ()


def _layout(parts: Sequence[Part], of: int) -> str:
    group: Group = parts[0].group
    said: dict[str, str] = {"kind": _text(group.kind)}
    if len(parts) < of:
        said["parts"] = _list([part.name for part in parts])
    if any(part.name != part.group.folder for part in parts):
        said["folders"] = _table({part.name: part.group.folder for part in parts})
    if group.file:
        said["files"] = _table({part.name: part.group.file for part in parts})
        said["line"] = _text(group.line)
    if group.key == "index":
        said["key"] = _text("id")
        said["aliases"] = _table({str(i + group.first): key for i, key in enumerate(group.classes)})
    if group.columns:
        said["columns"] = _table(group.columns)
    return "{ " + ", ".join(f"{key} = {value}" for key, value in said.items()) + " }"


def _table(values: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{_key(key)} = {_text(value)}" for key, value in values.items()) + " }"


def _list(values: Iterable[str]) -> str:
    one = f"[{', '.join(map(_text, values))}]"
    if len(one) <= WIDTH or one.count(", ") < 5:
        return one
    wrapped = textwrap.wrap(one[1:-1], WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return "[\n" + "\n".join(f"  {line}" for line in wrapped) + "\n]"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
