"""Scores of a stream, of a finished run's outputs: known images and one open set together, in a recorded order.

For every open set the score starts anew and meets all positives of the run and all images of the set, batch by batch.
So an image of a known class has one value beside each open set, and none by itself. The proportion of known images is
that of the suite: `n_id` to `n_ood` of each number.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from croftbench.method import Outputs
from croftbench.runs import predict, scoring
from croftbench.runs.outputs import Kept
from croftbench.runs.per_image import SplitTable
from croftbench.runs.posthoc import Scored
from croftbench.scorers import Asked, Context, NotApplicableError, Order, Stream


def score(
    kept: Kept,
    tables: Sequence[SplitTable],
    context: Context,
    asked: Sequence[Asked],
    seed: int,
    id_filter: str = "all",
    official: bool = False,
) -> Iterator[Scored]:
    """Scores of a stream, one at a time; what is not applicable with its reason and without numbers.

    Args:
        kept: the outputs; part "i" is the split of `tables[i]`.
        tables: what was predicted for each image; their own scores are not looked at.
        context: what the scores may look at before the first image.
        asked: which scores, all of a stream.
        seed: of the run; it shuffles the stream.
        id_filter, official: as in `scoring.score`.
    """
    for one in asked:
        start, reason, rows, how = time.perf_counter(), "", [], {}
        try:
            stream = one.stream(context)
            how = {"order": stream.order, "batch": stream.batch, "seed": seed}
            for pair in _pairs(kept, tables, context.labels.device, stream, seed, one.label):
                rows += [row for row in scoring.score(pair, "", id_filter, official=official) if row.scorer]
        except NotApplicableError as error:
            reason, rows = error.message, []
        yield Scored(
            one.label, one.name, one.params, one.spec.version, one.file_digests(), reason,
            round(time.perf_counter() - start, 3), scores=tuple(rows), stream=how,
        )  # fmt: skip


def order(known: int, unknown: int, how: Order, seed: int) -> npt.NDArray[np.int64]:
    """(known + unknown,) positions in the order of the stream; those of known images are below `known`."""
    draw = np.random.default_rng(seed)
    if how == "mixed":
        return draw.permutation(known + unknown)
    parts = [draw.permutation(known), known + draw.permutation(unknown)]
    return np.concatenate(parts if how == "known-first" else parts[::-1])


@torch.no_grad()
def values(stream: Stream, known: Outputs, unknown: Outputs, seed: int) -> tuple[Tensor, Tensor]:
    """(N,) and (M,) scores of N known and M unknown images that come in one stream."""
    n, m = len(known.logits), len(unknown.logits)
    both = predict.joined([known, unknown])
    score, scores = stream.start(), torch.empty(n + m)
    places = torch.from_numpy(order(n, m, stream.order, seed)).to(both.logits.device)
    for rows in torch.split(places, stream.batch):
        batch = Outputs(both.logits[rows], both.features[rows], both.classes)
        scores[rows.cpu()] = score(batch).float().cpu()
    return scores[:n], scores[n:]


def _pairs(
    kept: Kept, tables: Sequence[SplitTable], device: torch.device, stream: Stream, seed: int, label: str
) -> Iterator[tuple[SplitTable, SplitTable]]:
    """The positives and each open set, with their scores beside each other."""
    parts = {id(table): str(i) for i, table in enumerate(tables)}

    def outputs(table: SplitTable) -> Outputs:
        return predict.joined(kept.read(parts[id(table)], device))

    for known in scoring.positives(tables):
        inside = outputs(known)
        for unknown in (table for table in tables if table.shift == "semantic"):
            scores = values(stream, inside, outputs(unknown), seed)
            a, b = (replace(of, scores={label: s.numpy()}) for of, s in zip((known, unknown), scores, strict=True))
            yield a, b
