"""Which score heads an embedded suite's tables: AUROC of four scores on tuning folds, where no test image is.

    OMP_NUM_THREADS=1 python tools/emoji/headline.py emoji-kinds

The rule, the same for all methods: of the scores that every method has, the one with the highest mean AUROC over the
methods that train on cached features, each with the suite's recipe, on the tuning folds of seed 1 (training and
validation images, a quarter of the known classes taken for unknown). Within a point the score that CRoFT is made for,
energy, stays.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from statistics import fmean

from croftbench import plugins
from croftbench.api import running
from croftbench.encoders.identity import EMBEDDED
from croftbench.locations import Folders
from croftbench.progress import Silent
from croftbench.studies import tuning
from croftbench.suites import manifest

SCORES = ("energy", "msp", "mcm", "max_logit")
METHODS = (
    "zero-shot", "croft", "clip-adapter", "tip-adapter", "tip-adapter-f", "task-res", "linear-probe", "gda", "zs-lp",
    "clap", "lp-plus-plus", "cross-modal", "ape", "ape-t",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    args = parser.parse_args()
    suite, folders = manifest.suite(args.suite), Folders.of()
    print(f"{args.suite}, AUROC | {' | '.join(SCORES)}")
    columns = []
    for method in METHODS:
        info = plugins.describe(method, folders.cache)
        row = []
        for score in SCORES:
            asked = replace(suite, protocol=replace(suite.protocol, scorers=SCORES, headline=score))
            bench = running.workbench(asked, EMBEDDED, folders, "cpu", Silent())
            (job, *_) = tuning.jobs(bench, info, {}, [1], None)
            row.append(fmean(tuning.held_out_scores(bench, job.spec, info)[1]))
        columns.append(row)
        print(f"{method} | {' | '.join(f'{100 * value:.1f}' for value in row)}", flush=True)
    print(f"mean | {' | '.join(f'{100 * fmean(column):.1f}' for column in zip(*columns, strict=True))}")


if __name__ == "__main__":
    main()
