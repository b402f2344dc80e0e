"""Fit a method at several settings and measure each classifier: energy gradients, Hessians, accuracy, detection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from croftbench import plugins
from croftbench.draw.splits import Fold, Shift, Split
from croftbench.errors import CroftbenchError, UsageError
from croftbench.method import Outputs, Predictor, Task
from croftbench.plugins import MethodInfo
from croftbench.runs import alone, environment, predict
from croftbench.runs.isolation import one_run
from croftbench.runs.planning import Job
from croftbench.runs.spec import RunSpec
from croftbench.stats import metrics
from croftbench.studies.curvature import PROBES, Classified, energy_gradient, hessian_distance

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

IMAGES = 512
"""Images of a split that gradients and Hessians are taken on, drawn with the run's seed; all, where there are fewer."""

BEFORE = "before training"
Failed = Callable[[str, CroftbenchError], None]
"""Is told of a setting with a run that failed, and why."""


@dataclass(frozen=True)
class Finding:
    """One number.

    Attributes:
        setting: "name=value ..." of the swept hyper-parameters, or BEFORE: the frozen model with the suite's prompts.
        seed, fold: of the run.
        quantity: "energy gradient", "hessian distance", "hessian diagonal distance", "hessian norm", "accuracy", or
            "auroc" of the energy, ID test against an unknown split.
        where: a split's name; of Hessians "training domains" or "test domains" (the ID test and every covariate one).
        shift: "train", "id", "covariate" or "semantic"; of Hessians "train" or "covariate".
        value: fractions for accuracy and AUROC.
        n: images behind it.
    """

    setting: str
    seed: int
    fold: str
    quantity: str
    where: str
    shift: str
    value: float
    n: int


def findings(
    bench: Workbench, settings: Mapping[str, Sequence[Job]], failed: Failed | None = None
) -> Iterator[Finding]:
    """Everything about the frozen model and about every setting's runs, one fit a run.

    A run that fails is handed to `failed` with its setting, and the others go on.

    Raises:
        UsageError: a method whose logits are not cosines of its features and class features.
        CroftbenchError: a run failed, and there is no `failed`.
    """
    zero_shot = plugins.describe("zero-shot", bench.cache)
    for job in next(iter(settings.values())):
        yield from measured(bench, job.spec, zero_shot, job, BEFORE, zero_shot.resolve())
    for setting, jobs in settings.items():
        for job in jobs:
            try:
                asked = bench, job.spec, job.info, job, setting, job.spec.params
                yield from alone.call(measured, *asked) if bench.limits.isolate else measured(*asked)
            except UsageError:
                raise
            except CroftbenchError as error:
                if failed is None:
                    raise
                failed(setting, error)


def measured(
    bench: Workbench, spec: RunSpec, info: MethodInfo, job: Job, setting: str, params: Mapping[str, Any]
) -> list[Finding]:
    """A method's numbers on what the job's own method, of this run, may learn from."""
    with one_run(spec.seed, bench.limits):
        task = _task(bench, job)
        fitted = predict.fit(plugins.build(info, params), task, info)
        return list(_Measured(bench, job, setting, fitted, task).findings())


def record(
    bench: Workbench,
    info: MethodInfo,
    settings: Mapping[str, Sequence[Job]],
    findings: Sequence[Finding],
    seconds: float,
    failures: Sequence[tuple[str, CroftbenchError]] = (),
) -> dict[str, Any]:
    """What a diagnosis leaves behind: all that its numbers depend on, and the numbers."""
    spec = next(iter(settings.values()))[0].spec
    return {
        "schema": 1,
        "suite": bench.suite.name,
        "suite_digest": bench.suite.digest,
        "encoder": bench.identity.id,
        "weights_digest": bench.identity.weights_digest,
        "method": info.name,
        "method_version": info.version,
        "params": {setting: dict(jobs[0].spec.params) for setting, jobs in settings.items()},
        "shots": spec.shots,
        "views": spec.views,
        "images": IMAGES,
        "probes": PROBES,
        "env": environment.describe(bench.device),
        "seconds": round(seconds, 1),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "findings": [asdict(finding) for finding in findings],
        **({"failed": [{"setting": name, "why": e.message} for name, e in failures]} if failures else {}),
    }


def _task(bench: Workbench, job: Job) -> Task:
    fold = bench.fold(job.spec)
    return bench.task(fold, job.spec, job.info)


@dataclass
class _Measured:
    """One fitted classifier."""

    bench: Workbench
    job: Job
    setting: str
    predictor: Predictor
    task: Task

    @property
    def fold(self) -> Fold:
        return self.bench.fold(self.job.spec)

    def findings(self) -> Iterator[Finding]:
        """All numbers of this classifier."""
        train = self.task.train
        seen = self._outputs(train.views[0])
        yield self._finding("energy gradient", "train", "train", *self._gradient(seen))
        splits: list[tuple[Shift, Split]] = [("id", self.fold.id)]
        splits += [("covariate", s) for s in self.fold.covariate] + [("semantic", s) for s in self.fold.semantic]
        outputs = [self._outputs(self.bench.features.test(split)) for _, split in splits]
        for (shift, split), out in zip(splits, outputs, strict=True):
            yield self._finding("energy gradient", split.name, shift, *self._gradient(out))

        known = [(split, out) for (shift, split), out in zip(splits, outputs, strict=True) if shift != "semantic"]
        inside = [self._classified(_rows(seen, train.domains == d), train.labels[train.domains == d])
                  for d in sorted(set(train.domains.tolist()))]  # fmt: skip
        outside = [self._classified(out, self._labels(split)) for split, out in known]
        yield from self._hessians("training domains", "train", inside)
        yield from self._hessians("test domains", "covariate", outside)
        yield from self._scores(splits, outputs)

    def _hessians(self, where: str, shift: str, domains: list[Classified]) -> Iterator[Finding]:
        if len(domains) < 2:
            return
        distance = hessian_distance(domains, torch.Generator().manual_seed(self.job.spec.seed))
        n = sum(len(domain.z) for domain in domains)
        yield self._finding("hessian distance", where, shift, distance.full, n)
        yield self._finding("hessian diagonal distance", where, shift, distance.diagonal, n)
        yield self._finding("hessian norm", where, shift, distance.norm, n)

    def _scores(self, splits: list[tuple[Shift, Split]], outputs: list[Outputs]) -> Iterator[Finding]:
        """Accuracy on every known split; AUROC of the energy against every unknown one."""
        energy = [out.logits.logsumexp(1).cpu().numpy() for out in outputs]
        for (shift, split), out, score in zip(splits, outputs, energy, strict=True):
            if shift == "semantic":
                yield self._finding("auroc", split.name, shift, metrics.auroc(energy[0], score).value, len(score))
            else:
                estimate = metrics.accuracy(predict.answers(out.logits, split.space).cpu().numpy(), split.labels)
                yield self._finding("accuracy", split.name, shift, estimate.value, len(split))

    def _finding(self, quantity: str, where: str, shift: str, value: float, n: int) -> Finding:
        return Finding(self.setting, self.job.spec.seed, self.job.spec.fold, quantity, where, shift, value, n)

    def _gradient(self, outputs: Outputs) -> tuple[float, int]:
        images = self._classified(outputs, None)
        return energy_gradient(images), len(images.z)

    def _classified(self, outputs: Outputs, labels: Tensor | None) -> Classified:
        """Up to IMAGES of these images."""
        if outputs.classes is None:
            raise UsageError(
                f"{self.job.info.name} does not classify by cosines with class features, so there is no adapter space "
                f"to diagnose it in.",
                "Choose a method with class features, such as croft, coop or clip-adapter.",
            )
        n = len(outputs.features)
        rng = torch.Generator().manual_seed(self.job.spec.seed)
        chosen = torch.randperm(n, generator=rng)[:IMAGES].sort().values.to(outputs.features.device)
        z, w = outputs.features[chosen].double(), outputs.classes.double()
        y = torch.zeros_like(chosen) if labels is None else labels[chosen]
        return Classified(z, w, self.task.logit_scale, y)

    def _labels(self, split: Split) -> Tensor:
        return torch.tensor(split.labels, device=self.task.device)

    def _outputs(self, features: Tensor) -> Outputs:
        whole = replace(self.job.info, transductive=True)  # all at once: there are no more than memory holds
        classes, scale = len(self.fold.classnames), self.task.logit_scale
        return predict.joined(predict.predict(self.predictor, features, classes, scale, whole))


def _rows(outputs: Outputs, wanted: Tensor) -> Outputs:
    return Outputs(outputs.logits[wanted], outputs.features[wanted], outputs.classes)
