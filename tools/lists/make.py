"""Write the class lists of `datasets_manifest/lists/` that public packages carry; the others are kept by hand.

    pip download --no-deps -d wheels tensorflow-datasets==4.9.10 mmpretrain==1.2.0 pytorch-ood==0.4.0
    python tools/lists/make.py --wheels wheels [--check]

timm, open_clip and torchvision, which croftbench installs anyway, give ImageNet's classes and the names of flowers; the
other packages are opened as archives, not installed. A list that two of them carry must agree, or nothing is written.
`--check` compares instead of writing. README.md says where the lists kept by hand come from.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

LISTS = Path(__file__).parents[2] / "datasets_manifest/lists"
TFDS = "tensorflow_datasets/"

Rows = Iterable[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, required=True, help="folder that pip downloaded into")
    parser.add_argument("--check", action="store_true", help="say which lists differ instead of writing them")
    args = parser.parse_args()
    made = {**installed(), **packages(Wheels(args.wheels))}
    stale = [name for name, data in made.items() if _bytes(LISTS / name) != data]
    if args.check:
        raise SystemExit(f"differ: {', '.join(stale)}" if stale else 0)
    for name in stale:
        (LISTS / name).write_bytes(made[name])
        print(f"wrote {name}")


class Wheels:
    """Files of packages that are not installed."""

    def __init__(self, folder: Path) -> None:
        self._wheels = {path.name.partition("-")[0]: ZipFile(path) for path in sorted(folder.glob("*.whl"))}

    def text(self, name: str) -> str:
        """A file by its path inside the package's wheel."""
        return self._wheels[name.partition("/")[0]].read(name).decode()

    def lines(self, name: str) -> list[str]:
        return self.text(name).split("\n")[: -1 if self.text(name).endswith("\n") else None]

    def constant(self, name: str, variable: str) -> list[str]:
        """A list that a module assigns to a variable."""
        return list(_constant(self.text(name), variable))


def installed() -> dict[str, bytes]:
    """ImageNet's synsets (timm) with CLIP's names (open_clip), the subsets that ImageNet-A and -R keep, and flowers."""
    info = files("timm") / "data/_info"
    ids = (info / "imagenet_synsets.txt").read_text().split()
    names = _constant((files("open_clip") / "zero_shot_metadata.py").read_text(), "IMAGENET_CLASSNAMES")
    subsets = {f"imagenet-{x}.txt": (info / f"imagenet_{x}_synsets.txt").read_text().split() for x in "ar"}
    flowers = _constant((files("torchvision") / "datasets/flowers102.py").read_text(), "classes")
    return {
        "flowers102.tsv": _table((str(i), x.rstrip("?")) for i, x in enumerate(flowers, 1)),
        "imagenet.tsv": _table(zip(ids, names, strict=True)),
        **{name: _column(chosen) for name, chosen in subsets.items()},
    }


def packages(wheels: Wheels) -> dict[str, bytes]:
    """Everything that comes out of the downloaded wheels."""
    labels, mm = TFDS + "image_classification/", "mmpretrain/datasets/categories.py"
    ood = "pytorch_ood/dataset/img/resources/"

    def agreed(file: str, variable: str, of: Callable[[str], str] = str) -> list[str]:
        first, second = wheels.lines(labels + file), wheels.constant(mm, variable)
        if [of(x) for x in first] != second:
            raise SystemExit(f"{file} and {variable} do not agree")
        return first

    foods = agreed("food-101_classes.txt", "FOOD101_CATEGORIES")
    scenes = [path[1:] for path in agreed("sun397_labels.txt", "SUN397_CATEGORIES", lambda p: p[3:].replace("/", "_"))]
    textures = agreed("dtd_key_attributes.txt", "DTD_CATEGORIES")
    cars = wheels.constant(labels + "cars196.py", "_NAMES")
    if cars != wheels.constant(mm, "STANFORDCARS_CATEGORIES"):
        raise SystemExit("the two lists of cars do not agree")
    objects = [c for c in wheels.constant(mm, "CALTECH101_CATEGORIES") if c not in ("BACKGROUND_Google", "Faces_easy")]
    if sorted(c.lower() for c in objects) != sorted(
        c for c in wheels.lines(labels + "caltech101_labels.txt") if c not in ("background_google", "faces_easy")
    ):
        raise SystemExit("the two lists of Caltech-101 do not agree")
    planes = wheels.constant(mm, "FGVCAIRCRAFT_CATEGORIES")
    pets = wheels.constant(TFDS + "datasets/oxford_iiit_pet/oxford_iiit_pet_dataset_builder.py", "_LABEL_CLASSES")
    actions = ["_".join(re.findall("[A-Z][^A-Z]*", a)) for a in wheels.lines(TFDS + "video/ucf101_labels.txt")]
    domains = sorted(wheels.constant(labels + "domainnet/domainnet.py", "_CLASS_NAMES"))
    return {
        "food101.tsv": _table((x, _spaced(x)) for x in sorted(foods)),  # as CoOp numbers them, not as the authors do
        "sun397.tsv": _table((x, _spaced(" ".join(x.split("/")[:0:-1]))) for x in scenes),
        "dtd.tsv": _table((x, x) for x in textures),
        "stanford-cars.tsv": _table((x, f"{x[-4:]} {x[:-5]}") for x in cars),
        "caltech101.tsv": _table((x, CALTECH.get(x, _spaced(x))) for x in sorted(objects)),
        "fgvc-aircraft.tsv": _table((x, x) for x in planes),
        "oxford-pets.tsv": _table((x, _spaced(x.lower())) for x in pets),
        "ucf101.tsv": _table((x, _spaced(x)) for x in actions),
        "domainnet.tsv": _table((x, _spaced(x).replace("teddy-bear", "teddy bear")) for x in domains),
        "imagenet-val.txt.gz": _validation(wheels),
        "openimage-o-test.txt.gz": _packed(_column(json.loads(wheels.text(ood + "test_openimage_o.json")))),
        "openimage-o-val.txt.gz": _packed(_column(json.loads(wheels.text(ood + "val_openimage_o.json")))),
    }


CALTECH = {"Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike", "airplanes": "airplane"}
"""Names that CoOp's split gives instead of the folders'."""


def _validation(wheels: Wheels) -> bytes:
    """File name and wnid of ImageNet's 50,000 validation images: the labels of a folder that is flat."""
    wnids = wheels.lines(TFDS + "datasets/imagenet2012/validation_labels.txt")
    return _packed(_column(f"ILSVRC2012_val_{i:08}.JPEG {wnid}" for i, wnid in enumerate(wnids, 1)))


def _constant(source: str, variable: str) -> list[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == variable:
            return list(ast.literal_eval(node.value))
    raise SystemExit(f"no {variable} in that module")


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _table(rows: Rows) -> bytes:
    return "".join(f"{key}\t{name}\n" for key, name in rows).encode()


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _column(values: Iterable[str]) -> bytes:
    return "".join(f"{value}\n" for value in values).encode()


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


if __name__ == "__main__":
    main()
