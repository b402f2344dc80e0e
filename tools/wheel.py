"""Build sdist and wheel, look into the wheel, and run it where nothing else of croftbench is.

python tools/wheel.py                      what `make wheel` does: installs the wheel's dependencies, gigabytes of them
python tools/wheel.py --site-packages DIR  takes the dependencies from an environment that has them

The sdist is built from this folder and the wheel from the sdist, so what the sdist lacks is found. Both stay in dist/.
Then the wheel is installed into an environment of its own and run from an empty folder, with an empty cache.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOMES = {"croftbench": "croftbench", "datasets_manifest": "croftbench/datasets_manifest"}
"""Folder here -> where the wheel has it."""

COMMANDS = (
    ["--version"],
    ["check"],
    ["list", "suites"],
    ["run", "--method", "zero-shot", "--seeds", "1", "--results", "results"],
    ["leaderboard", "emoji-open", "--results", "results"],
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build and try the distributions.")
    parser.add_argument("--site-packages", type=Path, help="take dependencies from this folder, install none")
    borrowed = parser.parse_args().site_packages
    wheel = build(ROOT / "dist")
    lacking = missing(wheel)
    if lacking:
        sys.exit(f"{wheel.name} lacks {len(lacking)} files, such as {', '.join(lacking[:5])}")
    with tempfile.TemporaryDirectory() as folder:
        python = install(wheel, Path(folder) / "environment", borrowed)
        attempt(python, Path(folder))
    print(f"{wheel.relative_to(ROOT)}: whole, and it runs from an empty folder")


def build(into: Path) -> Path:
    """The wheel of the current version, made from a fresh sdist in the same folder."""
    for old in into.glob("croftbench-*"):
        old.unlink()
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(into), str(ROOT)], check=True)
    (wheel,) = into.glob("croftbench-*.whl")
    return wheel


def missing(wheel: Path) -> list[str]:
    """Files of the package and manifests that lie here and not in the wheel."""
    held = set(zipfile.ZipFile(wheel).namelist())
    paths = [path for home in HOMES for path in (ROOT / home).rglob("*") if path.is_file()]
    names = [path.relative_to(ROOT) for path in paths if "__pycache__" not in path.parts]
    wanted = ["/".join((HOMES[name.parts[0]], *name.parts[1:])) for name in names]
    return sorted(set(wanted) - held)


def install(wheel: Path, environment: Path, borrowed: Path | None) -> Path:
    """A new environment with the wheel; returns its Python."""
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    subprocess.run([*command, "--no-deps"] if borrowed else command, check=True)
    if borrowed:  # after the environment's own packages: the wheel comes first
        (own,) = (environment / "lib").glob("python*/site-packages")
        (own / "borrowed.pth").write_text(f"{borrowed.resolve()}\n")
    return python


def attempt(python: Path, folder: Path) -> None:
    """Run the commands from an empty folder, and make sure that they are the wheel's."""
    empty = folder / "empty"
    empty.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CROFTBENCH", "XDG"))}
    world = kept | {"XDG_CACHE_HOME": str(folder / "cache")}
    where = [python, "-c", "import croftbench; print(croftbench.__file__)"]
    found = subprocess.run(where, cwd=empty, env=world, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(found).is_relative_to(python.parents[1]):
        sys.exit(f"croftbench was imported from {found}, not from the wheel")
    for arguments in COMMANDS:
        print("croftbench", *arguments, flush=True)
        subprocess.run([python.parent / "croftbench", *arguments], cwd=empty, env=world, check=True)


if __name__ == "__main__":
    main()
