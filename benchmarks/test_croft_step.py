"""One official CRoFT step (two updates) at the size of ImageNet-400 with ViT-B/16, batch 32.

`closed_form` is croftbench's; `double_backward` obtains the same energy gradient from autograd, through a (D, D) delta,
as the formula is usually written. Read the speed-up as the ratio of the two medians of one run:

    pytest benchmarks/test_croft_step.py --benchmark-columns=min,median,rounds
"""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.methods.croft import DELTA, EPS, CRoFT, Fit, similarity, worst_case
from croftbench.training import Batch, unit

D, C, N, S = 512, 400, 32, 100.0


class DoubleBackward(Fit):
    """The same training with the energy gradient by autograd; default hyper-parameters only."""

    def official_edr(self, zs: Tensor, z: Tensor, t: Tensor, y: Tensor, M: Tensor) -> Tensor:
        hp, (W_I, W_T, G) = self.hp, self.weights
        zc = worst_case(z, G)
        zc2 = hp.ratio * zc + (1 - hp.ratio) * zc @ W_I
        loss1 = cross_entropy(S * zc2 @ t.T, y) - hp.lambda1 * similarity(zc, zs, M)
        Z, ts = torch.cat([zs, zc]), unit(self.e, EPS)
        delta = (DELTA * torch.ones_like(W_I)).requires_grad_()
        i = unit(hp.ratio * Z @ (W_I + delta) + (1 - hp.ratio) * Z, EPS)
        j = unit(hp.ratio_text * ts @ (W_T + delta) + (1 - hp.ratio_text) * ts, EPS)
        (g,) = torch.autograd.grad((i @ j.T).exp().sum(), delta, create_graph=True)
        return loss1 + hp.lambda2 * g.square().mean()


def problem() -> tuple[Tensor, Batch]:
    """Text features (C, D) and a batch whose images lie near their class's text: float32."""
    rng = torch.Generator().manual_seed(0)
    text = unit(torch.randn(C, D, generator=rng))
    labels = torch.randint(C, (N,), generator=rng)
    features = 10 * unit(text[labels] + 0.1 * torch.randn(N, D, generator=rng))
    return text, Batch(features, labels, torch.zeros_like(labels))


@pytest.mark.benchmark(group="croft-step")
@pytest.mark.parametrize("kind", [Fit, DoubleBackward], ids=["closed_form", "double_backward"])
def test_official_step(benchmark, kind):
    text, batch = problem()
    fit = kind(CRoFT(), text, S)
    updates = benchmark.pedantic(lambda: list(fit.step(batch)), rounds=30, warmup_rounds=3)
    assert len(updates) == 2


@pytest.mark.benchmark(group="croft-step")
def test_stated_step(benchmark):
    text, batch = problem()
    fit = Fit(CRoFT(variant="stated"), text, S)
    updates = benchmark.pedantic(lambda: list(fit.step(batch)), rounds=30, warmup_rounds=3)
    assert len(updates) == 2


def test_both_kinds_train_alike():
    text, batch = problem()
    fits = [kind(CRoFT(), text, S) for kind in (Fit, DoubleBackward)]
    for ours, theirs in zip(*(fit.step(batch) for fit in fits), strict=True):
        torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=1e-5)
        for mine, other in zip(*(fit.weights for fit in fits), strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
