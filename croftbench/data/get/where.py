"""Where a family's files go under the data root, in words for people."""

from __future__ import annotations

from pathlib import PurePosixPath

from croftbench.suites.families import Family, Layout, Part


def expected_paths(family: Family) -> list[tuple[str, str]]:
    """(layout, path under the data root) of every way in which the family is met on disk; "<...>" stands for a name."""
    paths = []
    for layout in family.layouts:
        part = next((p for p in family.parts if layout.has(p.name)), None)
        if part is None or layout.kind == "package":
            continue
        where = layout.at[0].replace("*", "<...>")
        inside = layout.folders_of(part.name)[0]
        mine = [p for p in family.parts if layout.has(p.name)]
        if part.name in inside and len(mine) > 1:
            inside = inside.replace(part.name, "<part>")
        paths.append((layout.name, str(PurePosixPath(where) / inside / _pictures(layout, part))))
        for file in layout.files_of(part.name)[:1]:
            if not file.startswith("lists/"):
                paths.append((layout.name, str(PurePosixPath(where) / file)))
    return paths


def home(family: Family, repo: str = "") -> str:
    """The folder under the data root that fetched files are put into, one that some layout is met in.

    Args:
        family: whose files they are.
        repo: the hub's repository that they come from, whose last name is preferred; its layouts go first.
    """
    layouts = sorted(family.layouts, key=lambda one: (one.kind in ("parquet", "webdataset")) != bool(repo))
    plain = [at for layout in layouts for at in layout.at if at != "." and not set("*?[") & set(at)]
    last = repo.rsplit("/", 1)[-1]
    return next((at for at in plain if at in (repo, last)), plain[0] if plain else last or family.name)


def _pictures(layout: Layout, part: Part) -> str:
    """What lies in the folder of a part."""
    folder = {"id": "<class id>", "name": "<class name>", "index": "<class number>"}[layout.key]
    match layout.kind:
        case "folders":
            return f"{folder}/*.jpg" if part.members else "*.jpg"
        case "webdataset":
            return "*.tar"
        case "parquet":
            return ""
        case _:
            return "*.jpg"
