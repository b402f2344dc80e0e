"""Reduced manifests whose suites can be read and run too: what they ask of the full class lists is scaled down."""

from __future__ import annotations

import re
from pathlib import Path

from croftbench.suites import registry
from tests.layouts.reduce import reduced


def runnable(folder: Path, classes: int = 6, images: int = 2) -> Path:
    """`reduced`, with suites that ask for half of the classes where they ask for 400 or list them, and for none that is
    gone.
    """
    reduced(folder, classes, images)
    for path in (folder / "suites").glob("*.toml"):
        text = path.read_text().replace("known = 400", "known = 0.5").replace("limit = 1000", "limit = 5")
        path.write_text(re.sub(r"exclude = \[.*?\]\n", "", text, flags=re.S))
    imagenet, objectnet = registry.family("imagenet", folder).ids, registry.family("objectnet", folder)
    objects = [objectnet.ids[i] for i in objectnet.parts[0].members]
    lines = [f"{key}\t{' '.join(imagenet[2 * i : 2 * i + 2])}\n" for i, key in enumerate(objects)]
    (folder / "lists/objectnet-imagenet.tsv").write_text("".join(lines))
    (folder / "lists/imagenet-x.txt").write_text("\n".join(imagenet[::2]))
    return folder
