"""Rewrite the result rows in README.md and docs/results.md from results/leaderboards; `--check` only compares.

A row is any table row below a head that starts with "| | `emoji-open`: ID"; the first cell names the method. An empty
table is filled with all rows that have both suites.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs/results.md")
HEAD = "| | `emoji-open`: ID"
COLUMNS = {
    "emoji-open": ("accuracy/id", "accuracy/covariate-mean", "auroc/near", "auroc/semantic-mean"),
    "emoji-kinds": ("accuracy/id", "accuracy/covariate-mean", "auroc/near", "auroc/semantic-mean"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 where a page has other figures")
    args = parser.parse_args()
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = fill(text, figures())
        if new != text:
            stale.append(page.name)
            if not args.check:
                page.write_text(new, encoding="utf-8")
    if args.check and stale:
        sys.exit(f"{', '.join(stale)}: other figures than results/leaderboards. Run `python tools/site/rows.py`.")


def figures() -> dict[str, str]:
    """Name of a row -> its cells, in the order of the first suite's table."""
    tables = {suite: pd.read_csv(ROOT / f"results/leaderboards/{suite}.csv").set_index("method") for suite in COLUMNS}
    first, *others = tables.values()
    names = [name for name in first.index if all(name in table.index for table in others)]
    cells = {
        name: [
            f"{100 * tables[suite].at[name, column]:.1f} ± {100 * tables[suite].at[name, f'{column}_std']:.1f}"
            for suite, columns in COLUMNS.items()
            for column in columns
        ]
        for name in names
    }
    return {name: f"| {name} | {' | '.join(values)} |" for name, values in cells.items()}


def fill(text: str, rows: dict[str, str]) -> str:
    """The text with every such table's rows as they should be."""

    def table(match: re.Match[str]) -> str:
        named = re.findall(r"^\| ([^|]+?) \|", match[2], re.M) or list(rows)
        return match[1] + "".join(f"{rows[name]}\n" for name in named)

    return re.sub(rf"({re.escape(HEAD)}[^\n]*\n\|[-|]+\|\n)((?:\|[^\n]*\n)*)", table, text)


if __name__ == "__main__":
    main()
