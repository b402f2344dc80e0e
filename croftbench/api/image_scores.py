"""A score's value for every image of a finished run, where its table lacks it: from the outputs that the run kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from croftbench import scorers
from croftbench.api import reproducing, running
from croftbench.api.suite_choice import suite_of
from croftbench.errors import CroftbenchError, DataError, unknown
from croftbench.locations import Folders
from croftbench.progress import Silent
from croftbench.runs import outputs, posthoc
from croftbench.runs.per_image import SplitTable
from croftbench.runs.planning import Job
from croftbench.runs.results import RunResult

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench


@dataclass
class ImageScores:
    """Adds one score to per-image tables.

    Attributes:
        name: the score's, as it was asked for; one that ships, one that a user wrote, or one that a method gives.
        folders: where results, outputs and images are.
    """

    name: str
    folders: Folders
    _benches: dict[tuple[str, str], Workbench] = field(default_factory=dict)

    def __call__(self, run: RunResult, tables: tuple[SplitTable, ...]) -> tuple[SplitTable, ...]:
        """A run's tables with the score; without those of images under their own names, where it is made.

        Raises:
            UsageError: there is no such score, or it is one of a stream.
            DataError: the run has no value of it for each image, and none can be made; the message says why.
        """
        if not tables or self.name in tables[0].scores:
            return tables
        kept = outputs.find(self.folders.cache, run.spec.run_id)
        own = kept.own if kept else self._recorded(run)
        if self.name not in own and self.name.partition(":")[0] not in scorers.SCORERS and ".py" not in self.name:
            raise unknown("scorer of these runs", self.name, [*tables[0].scores, *own, *scorers.SCORERS])
        if kept is None:
            raise self._lacking(run, f"its outputs are not in {self.folders.cache}")
        asked = [] if self.name in own else [scorers.asked(self.name)]
        for one in asked:
            one.check_alone()
        bank = kept.images(outputs.TRAIN) > 0
        if not bank and asked and "train" in asked[0].spec.uses and suite_of(run.spec.suite, self.folders).trains:
            record = posthoc.path_of(self.folders.results, run.spec)
            raise self._lacking(run, "its outputs lack the training images", f"rm {record} && ", asked[0].label)
        return self._made(run, tables, asked, bank)

    def _recorded(self, run: RunResult) -> list[str]:
        """Names of the run's own scores, by its post-hoc record."""
        record = posthoc.read(self.folders.results, run.spec)
        return [one.label for one in record.scorers if one.scorer == "own"]

    def _made(
        self, run: RunResult, tables: tuple[SplitTable, ...], asked: list[scorers.Asked], bank: bool
    ) -> tuple[SplitTable, ...]:
        from croftbench.runs import rescore

        info = reproducing.method_of(run, self.folders)
        if info is None:
            raise self._lacking(run, "its method is not at hand")
        done = rescore.from_kept(self._bench(run), run, Job(run.spec, info), asked, None, bank)
        if done is None or not done.agrees:
            raise self._lacking(run, "the outputs in the cache are not those of its numbers")
        label = asked[0].label if asked else self.name
        made = {(table.name, table.shift): table.scores[label] for table in done.tables if label in table.scores}
        if not made:
            why = "; ".join(one.not_applicable for one in done.scored if one.label == label)
            raise DataError(f"{self.name} is not applicable to {run.spec.method}: {why}", "Choose another --scorer.")
        return tuple(
            replace(table, scores={**table.scores, self.name: made[table.name, table.shift]})
            for table in tables
            if (table.name, table.shift) in made
        )

    def _bench(self, run: RunResult) -> Workbench:
        asked = run.spec.suite, run.spec.encoder
        if asked not in self._benches:
            suite = suite_of(run.spec.suite, self.folders)
            self._benches[asked] = running.workbench(suite, run.spec.encoder, self.folders, "auto", Silent())
        return self._benches[asked]

    def _lacking(self, run: RunResult, why: str, first: str = "", score: str = "") -> DataError:
        from croftbench.studies import repeat

        what = f"there is no {self.name} of each image of run {run.spec.run_id} ({run.spec.method}): {why}."
        try:
            suite = suite_of(run.spec.suite, self.folders)
            again = repeat.command(run, suite, reproducing.method_of(run, self.folders))
        except CroftbenchError:
            return DataError(what, f"`croftbench show {run.spec.run_id}` says what it was.")
        how = f"--scorers {score}" if score else "--force"
        return DataError(what, f"`{first}{again} {how}` makes the run again, and its outputs are kept.")
