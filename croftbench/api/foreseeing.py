"""What a run would do: `croftbench run --dry-run`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.api import plans, running
from croftbench.encoders.identity import EMBEDDED
from croftbench.launch import parts
from croftbench.locations import Folder, Folders
from croftbench.plugins.parameters import Value
from croftbench.progress import Progress
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.api.running import MethodLike
    from croftbench.runs.forecast import Forecast


def forecast(
    methods: MethodLike | Iterable[MethodLike],
    suite: str | Path | Suite = "emoji-open",
    *,
    encoder: str = EMBEDDED,
    seeds: Sequence[int] | None = None,
    shots: int | None = None,
    views: int | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Value] | Sequence[str] = (),
    preprocess: str | Path = "",
    allow_incomplete: bool = False,
    limit: int | None = None,
    shard: str = "",
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Forecast:
    """What `run` with the same arguments would do; nothing is encoded, trained or written.

    Raises:
        UsageError: a name or a setting that does not exist.
        DataError: a split is not there.
    """
    from croftbench.runs import forecast as looking

    which = parts.parse(shard)
    folders = Folders.of(results, cache, data_root, manifests)
    chosen, folders = plans.smoke(suite, limit, folders)
    with running.shown(progress) as sink:
        asked = plans.plan(
            methods, chosen, folders, sink, encoder, str(preprocess), seeds, shots, views, recipe, settings
        )
        bench = running.workbench(asked.suite, encoder, folders, "cpu", sink, allow_incomplete, str(preprocess))
        return looking.of(bench, parts.part(asked.jobs, which), folders.results)
