"""Class folders that cannot be taken without being told what they are: the reason, and what to write."""

from __future__ import annotations

import re
from dataclasses import replace

from croftbench.data.scan.missing import SHARE, Failed, Missing, class_folders, moved, shared
from croftbench.data.scan.place import Absent, Fit
from croftbench.data.scan.tree import join


def unexplained(missing: Missing) -> Failed:
    """Class folders that are numbers of nobody knows which classes, or names that two classes share."""
    part, said = missing.part, []
    order = f"`croftbench data describe {missing.family.split_id(part.name)}`"
    for place in class_folders(missing):
        for base in missing.bases(place):
            names = missing.around.inside(base)
            numbers = sorted(int(name) for name in names if re.fullmatch(r"[0-9]+", name))
            why = ""
            if len(numbers) == len(names) and len(numbers) > 1:
                first, count = min(numbers[0], 1), len(part.members)
                why = f"the class folders of {base} are numbers, {numbers[0]} to {numbers[-1]}"
                why += ", and nothing says of which classes"
                if numbers[-1] - first < count:
                    say = missing.confirm(place, replace(place.layout, key="index", order="", first=first))
                    why += f"; if they count the {count} classes in the order of {order} from {first}, {say}"
                else:
                    why += f"; {part.name} has {count} classes, call the folders by their ids, see {order}"
            elif twin := shared(missing, place):
                by_name = missing.classes(replace(place.layout, key="name", aliases={}))
                if missing.around.matching(base, by_name) >= SHARE:
                    why = f"the class folders of {base} are names, and two classes are called '{twin}'; "
                    why += f"call them by ids, see {order}"
            if why:
                said.append((place, Absent(why, near=True)))
    return said


def unnamed(missing: Missing) -> Failed:
    """Class folders in a folder of another name, where it is not known which part they are."""
    said: Failed = []
    for layout in missing.layouts if missing.part.members else ():
        places = [place for place in missing.places(layout) if layout.kind == "folders" and not missing.bases(place)]
        if not places:
            continue  # before what takes longer
        classes = missing.classes(layout)
        for place in places:
            for folder in (place.at, *missing.around.within(place, place.at)):
                if missing.around.matching(folder, classes) >= SHARE and not _used(folder, missing.taken):
                    meant = join(place.at, layout.folders_of(missing.part.name)[0])
                    say = missing.confirm(moved(place, folder))
                    why = f"{folder} holds class folders, and nothing says that they are {missing.part.name}"
                    said.append((place, Absent(f"{why}; if so, call it {meant}, or {say}", fit=Fit.IMAGES)))
    return said


def _used(folder: str, others: frozenset[str]) -> bool:
    return any(f"{folder}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder}/") for other in others)
