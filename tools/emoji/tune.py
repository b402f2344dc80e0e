"""Tune every method on an embedded suite with the same budget, on training images of seed 1 alone.

    OMP_NUM_THREADS=1 python tools/emoji/tune.py emoji-kinds

Runs `croftbench tune` with the grids of grids.toml, method by method; records are kept in results/tuning/, and what is
there already is not run again. Prints the suite's [recipes].
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import croftbench
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import CroftbenchError

GRIDS = Path(__file__).with_name("grids.toml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--encoder", default=EMBEDDED)
    parser.add_argument("--methods", nargs="*", help="some of them")
    args = parser.parse_args()
    grids = tomllib.loads(GRIDS.read_text(encoding="utf-8"))
    recipe = croftbench.load_suite(args.suite).recipe  # what the suite itself sets was searched before
    for method in args.methods or grids:
        grid = [f"{name}={','.join(map(str, values))}" for name, values in grids[method].items()]
        try:
            done = croftbench.tune(method, grid, args.suite, encoder=args.encoder, seeds=[1], recipe=recipe)
        except CroftbenchError as error:
            print(f"# {method}: {error}", flush=True)
            continue
        seconds = sum(cell.seconds for cell in done.cells)
        print(f"# {100 * done.best.accuracy:.1f} {100 * done.best.auroc:.1f}, {seconds:.0f} s\n[recipes.{method}]")
        for name, value in done.best.params.items():
            print(f"{name} = {json.dumps(value)}")
        print(flush=True)


if __name__ == "__main__":
    main()
