"""Detection scores: a classifier's outputs in, one number an image out; **higher = more in-distribution**, always.

`fit(name, context)` gives a function of `Outputs`. What a score may look at of training images, class names and text is
in `Context`; it never sees a test image but the one it scores. Each score is one function, whose docstring is its
paper. Importing this imports no torch: that waits until a score is fitted.
"""

from croftbench.rooms import callable_room
from croftbench.scorers.catalogue import ALL, CODE, SCORERS, Asked, ScorerSpec, described, fit, parse
from croftbench.scorers.context import Context, NotApplicableError, Order, Scorer, Stream
from croftbench.scorers.own_scores import FILE, asked, handed_over, split

__all__ = [
    "ALL", "CODE", "FILE", "SCORERS", "Asked", "Context", "NotApplicableError", "Order", "Scorer", "ScorerSpec",
    "Stream", "asked", "described", "fit", "handed_over", "parse", "split",
]  # fmt: skip

callable_room(__name__)
