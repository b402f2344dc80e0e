"""CRoFT's official variant against recorded outputs of the published code."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from croftbench.methods import croft
from croftbench.methods.croft import CRoFT, Fit, Weights
from croftbench.training import Batch, Recipe

CASES = [
    "in46_wccf_g1",
    "in46_wccf_g0",
    "in46_nowccf_g1",
    "in46_identity_g1",
    "in46_wccf_g1_float32",
    "in46_d512_float32",
    "pacs_wccf_g1",
    "pacs_wccf_g0",
    "pacs_nowccf_g1",
    "vlcs_wccf_g0",
]
NAMES = {"fc_i": "W_I", "fc_t": "W_T", "gen": "G"}


class Recorded:
    """One recorded case: its inputs as tensors, and comparison with its outputs."""

    def __init__(self, name, arrays, close, measured):
        self.ref, self.close_to, self.measured = arrays, close, measured
        self.wide = "init_fc_i" not in arrays
        self.single = name.endswith("float32")
        self.tolerance, self.grad_tolerance = (2e-5, 1e-4) if self.single else (1e-10, 1e-10)
        worst, gen_steps, lambda1, lambda2, ratio, ratio_text, lr, momentum, decay = arrays["hyper"].tolist()
        self.hp = CRoFT(
            worst_case=bool(worst),
            gen_steps=int(gen_steps),
            lambda1=lambda1,
            lambda2=lambda2,
            ratio=ratio,
            ratio_text=ratio_text,
            edr_reduction="sum" if arrays["is46"] else "mean",
            edr_worst_case=not arrays["is_vlcs"],
            recipe=Recipe(lr=lr, warmup_lr=lr, momentum=momentum, weight_decay=decay),
        )
        self.text = torch.from_numpy(arrays["text_features"])
        self.s = torch.from_numpy(arrays["log_scale"]).exp().item()
        self.batches = [self.batch(b) for b in (0, 1) if f"image{b}" in arrays]

    def batch(self, b) -> Batch:
        labels = torch.from_numpy(self.ref[f"label{b}"])
        return Batch(torch.from_numpy(self.ref[f"image{b}"]), labels, torch.zeros_like(labels))

    def fit(self) -> Fit:
        if self.wide:
            return Fit(self.hp, self.text, self.s)
        start = (torch.from_numpy(self.ref[f"init_{name}"]).clone().requires_grad_() for name in NAMES)
        return Fit(self.hp, self.text, self.s, Weights(*start))

    def check(self, actual: Tensor, key: str, grad: bool = False) -> None:
        """Compare with an array, or with the reduced arrays that stand for a large one."""
        tolerance = self.grad_tolerance if grad else self.tolerance
        if key in self.ref:
            self.close_to(actual, self.ref[key], tolerance)
        else:
            self.close_to(actual[:6, :6], self.ref[f"{key}_block"], tolerance)
            self.close_to(actual.norm(), self.ref[f"{key}_norm"], tolerance)
            self.close_to(actual.sum(), self.ref[f"{key}_sum"], tolerance)

    def check_logits(self, actual: Tensor, key: str) -> None:
        self.check(actual, key)
        if not self.single:
            self.measured("croft", actual, torch.from_numpy(self.ref[key]))

    def check_weights(self, prefix: str, weights: Weights, grads: bool) -> None:
        for recorded, name in NAMES.items():
            weight = getattr(weights, name)
            if grads:
                self.check(torch.zeros_like(weight) if weight.grad is None else weight.grad, prefix + recorded, True)
            else:
                self.check(weight, prefix + recorded)


@pytest.fixture(params=CASES)
def case(request, oracle, close, measured) -> Recorded:
    return Recorded(request.param, oracle(f"croft_{request.param}"), close, measured)


def pieces(fit: Fit, batch: Batch) -> dict[str, Tensor]:
    """The arguments of the losses, by name, at the present weights."""
    i, j = fit.forward(batch.features)
    same = (batch.labels[:, None] == batch.labels).to(i.unit.dtype)
    return {"zs": croft.unit(batch.features, croft.EPS), "z": i.unit, "t": j.unit, "y": batch.labels, "M": same}


def test_every_recorded_case_is_tested():
    stored = (Path(__file__).parents[1] / "oracle").glob("croft_*.npz")
    assert {path.stem for path in stored} == {f"croft_{name}" for name in CASES}


def test_forward_pass_is_the_published_one(case):
    fit = case.fit()
    of = pieces(fit, case.batches[0])
    outputs = fit.predictor()(case.batches[0].features)
    case.check(of["z"], "fwd_z")
    case.check(of["t"], "fwd_t")
    case.check(of["zs"], "fwd_z_zs")
    case.check(fit.ts, "fwd_t_zs")
    case.check(outputs.features, "fwd_z")
    case.check_logits(outputs.logits, "fwd_logits")
    case.check(outputs.logits.logsumexp(1), "fwd_energy")


def test_generator_loss_is_the_published_one(case):
    fit = case.fit()
    of = pieces(fit, case.batches[0])
    zc = croft.worst_case(of["z"], fit.weights.G)
    loss = croft.generator_loss(zc, of["z"], of["t"], of["y"], of["M"], fit.s, case.hp.lambda1)
    loss.backward()
    case.check(zc, "fp_zcov")
    case.check(loss, "fp_loss")
    case.check_weights("fp_grad_", fit.weights, grads=True)


def test_energy_distribution_term_is_the_published_one(case):
    fit = case.fit()
    of = pieces(fit, case.batches[0])
    loss = fit.official_edr(**of)
    loss.backward()
    case.check(loss, "edr_loss")
    case.check_weights("edr_grad_", fit.weights, grads=True)

    unregularised = case.fit()
    unregularised.hp = dataclasses.replace(case.hp, lambda2=0.0)
    loss1 = unregularised.official_edr(**of)
    case.check(loss1, "edr_loss1")
    case.check((loss - loss1) / case.hp.lambda2, "edr_loss2")


def stacked(case: Recorded, fit: Fit) -> Tensor:
    """The features that the published EDR looks at."""
    of = pieces(fit, case.batches[0])
    if case.hp.worst_case and case.hp.gen_steps and case.hp.edr_worst_case:
        return torch.cat([of["zs"], croft.worst_case(of["z"], fit.weights.G)])
    return of["zs"]


def test_energy_gradient_is_the_published_one(case):
    fit, hp = case.fit(), case.hp
    i = croft.adapt(stacked(case, fit), fit.weights.W_I, hp.ratio, croft.DELTA)
    j = croft.adapt(fit.ts, fit.weights.W_T, hp.ratio_text, croft.DELTA)
    g = croft.energy_gradient(i, j, hp.ratio, hp.ratio_text)
    size = 1 if hp.edr_reduction == "sum" else len(i.x) * len(j.x)
    case.check(g / size, "edr_dE_ddelta", grad=True)
    of = pieces(fit, case.batches[0])
    adapted = of["z"]
    if len(i.x) > len(adapted):  # the published code subtracts a term without delta, which g does not see
        zc = i.x[len(adapted) :]
        adapted = torch.cat([adapted, hp.ratio * zc + (1 - hp.ratio) * zc @ fit.weights.W_I])
    difference = (i.unit @ j.unit.T).exp() - (adapted @ of["t"].T).exp()
    case.check(difference.sum() / size, "edr_pred_delta_reduced")
    loss2 = (g / size).square()
    case.check(loss2.mean() if hp.edr_reduction == "sum" else loss2.sum(), "edr_loss2")


def test_every_published_update_is_reproduced(case):
    fit = case.fit()
    for b, batch in enumerate(case.batches):
        count = 0
        for k, update in enumerate(fit.step(batch)):
            prefix = f"step{b}_upd{k}_"
            case.check(update.loss, f"{prefix}loss")
            assert (fit.weights.G.grad is None) == case.ref[f"{prefix}gen_grad_isnone"]
            case.check_weights(f"{prefix}grad_", fit.weights, grads=True)
            case.check_weights(f"{prefix}param_", fit.weights, grads=False)
            accuracy = 100 * (update.logits.argmax(1) == batch.labels).double().mean().item()
            assert accuracy == pytest.approx(case.ref[f"step{b}_acc"])
            count += 1
        assert count == case.ref[f"step{b}_n_updates"]
    after = fit.predictor()(case.batches[0].features)
    case.check_logits(after.logits, "post_logits")
    case.check(after.logits.logsumexp(1), "post_energy")
