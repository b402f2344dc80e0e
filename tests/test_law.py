"""The law of imports: short enough to be read, and nothing stands outside it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = next(
    contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    if contract["type"] == "layers"
)


def test_the_law_can_be_read_at_a_glance():
    assert len(LAYERS) <= 12


def test_every_module_stands_in_a_layer():
    named = {module.strip() for layer in LAYERS for part in layer.split("|") for module in part.split(":")}
    rooms = {p.stem if p.is_file() else p.name for p in (ROOT / "croftbench").iterdir() if is_module(p)}
    assert {f"croftbench.{room}" for room in rooms} == named


def is_module(path: Path) -> bool:
    return (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()


def test_no_file_name_stands_twice():
    """But for commands, which are called like what they call."""
    names: dict[str, list[str]] = {}
    for path in (ROOT / "croftbench").rglob("*.py"):
        inside = path.relative_to(ROOT / "croftbench")
        if path.stem != "__init__" and inside.parts[0] != "cli":
            names.setdefault(path.stem, []).append(str(inside))
    assert [paths for paths in names.values() if len(paths) > 1] == []


def test_text_that_people_make_is_read_in_one_place():
    """Others read only what croftbench itself wrote, and the source of plugins, whose bytes Python decodes."""
    own = {"runs/outputs.py", "encoders/identity.py", "plugins/info.py", "report/made_before.py"}
    found = {
        str(path.relative_to(ROOT / "croftbench"))
        for path in (ROOT / "croftbench").rglob("*.py")
        if re.search(r"\.read_text\(|tomllib|csv\.(reader|DictReader)|read_csv\(", path.read_text())
    }
    assert found - own - {"report/formats/data.py"} == {"texts.py"}
