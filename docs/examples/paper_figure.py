"""A figure for a paper: accuracy under covariate shift against detection, one column wide, as PDF and PNG."""

from pathlib import Path

import croftbench

METHODS = ["zero-shot", "coop", "croft", "tip-adapter-f", "ape-t", "gda", "wise-ft+croft"]
for ending in ("pdf", "png"):
    croftbench.plot("pareto", "emoji-open", METHODS, output=Path(f"pareto.{ending}"), columns=1)
