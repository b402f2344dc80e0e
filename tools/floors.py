"""The lowest version that pyproject.toml allows of each dependency: a constraints file for pip.

python tools/floors.py > floors.txt          one `name==floor` a line
python -m pip install -c floors.txt '.[test]'

`make floors` installs exactly these and runs the tests there, so that a floor is a version that was tried.
Needs only the standard library: it runs before anything is installed.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("test", "remote")
"""The extras that the floors' environment holds: linters and type checkers say nothing about them."""

FLOOR = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?\s*>=\s*(?P<floor>\d[\w.]*)\s*(,[^;]*)?")


def floors(project: dict[str, Any]) -> list[str]:
    """`name==floor` of every requirement, in the order of the file.

    Raises:
        ValueError: a requirement that doesn't start with `name>=version`, so that it has no floor to try.
    """
    declared = project["dependencies"] + [one for extra in EXTRAS for one in project["optional-dependencies"][extra]]
    declared = [one for one in declared if not one.startswith("croftbench[")]  # an extra that holds another
    found = [(line, FLOOR.fullmatch(line)) for line in declared]
    without = [line for line, match in found if not match]
    if without:
        raise ValueError(f"no floor: {', '.join(without)}; write each dependency as 'name>=version'")
    return [f"{match['name']}=={match['floor']}" for _, match in found if match]


if __name__ == "__main__":
    try:
        print("\n".join(floors(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"])))
    except ValueError as wrong:
        sys.exit(f"{PYPROJECT.name}: {wrong}")
