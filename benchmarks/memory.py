"""The peak memory of one run of each method, each in a process of its own: writes memory.csv, which the cards read.

    python -m benchmarks.memory [METHOD ...]

A run is seed 1 of emoji-open with cached features. Methods that train an image tower cannot run on the embedded
encoder: theirs is one step on a ViT-B/16, four images, forty classes. Beside each stands what it is to be read
against: a run of zero-shot, or the same model's own forward and backward.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import croftbench
from benchmarks.peak import peak
from croftbench import plugins

TABLE = Path(__file__).with_name("memory.csv")
HEAD = ("method", "what", "megabytes", "beside", "megabytes_beside")

RUN = """
import croftbench
croftbench.run(sys.argv[1], "emoji-open", seeds=[1], results=sys.argv[2], cache=sys.argv[3], force=True, progress=False)
"""
STEP = """
from benchmarks import test_image_tower_step as steps
model, pixels = steps.vit(), steps.images()
if sys.argv[1] in steps.METHODS:
    steps.METHODS[sys.argv[1]].fit(steps.tower_task(model, pixels))
else:
    steps.floor(model, pixels, True, True)()
"""


def measured(code: str, method: str, folder: str) -> int:
    """Megabytes that a process had at most."""
    return round(peak(code, method, f"{folder}/results", f"{folder}/cache") / 1e6)


def main(asked: list[str]) -> None:
    """Measure those methods, or all, one after another; rows of others stay as they are."""
    needs = {one["name"]: one["needs"] for one in croftbench.methods() if one["name"] in plugins.BUILT_IN}
    if unknown := sorted(set(asked) - set(needs)):
        sys.exit(f"no method: {', '.join(unknown)}. See `croftbench list methods`.")
    rows = {row["method"]: row for row in csv.DictReader(TABLE.read_text().splitlines())} if TABLE.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        measured(RUN, "zero-shot", folder)
        runs, towers = measured(RUN, "zero-shot", folder), measured(STEP, "towers", folder)
        encoded = {needs["zero-shot"]}
        for name in asked or needs:
            if "image transformer" in needs[name]:
                made = ("a step", measured(STEP, name, folder), "towers", towers)
            else:
                if needs[name] not in encoded:
                    encoded.add(needs[name])
                    measured(RUN, name, folder)  # what it needs is in the cache from here on
                made = ("a run", measured(RUN, name, folder), "zero-shot", runs)
            rows[name] = dict(zip(HEAD, (name, *made), strict=True))
            print(rows[name], flush=True)
            write(rows)


def write(rows: dict[str, dict[str, object]]) -> None:
    """The table, by name."""
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEAD, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
