"""The claim behind CRoFT, measured: does a small energy gradient go with like Hessians, and these with accuracy?

CRoFT (ICML 2024, arXiv 2405.16417) argues that minimising the gradient magnitude of energies over the training images
makes the classification loss curve alike in every domain, which bounds the error in new ones. Three quantities of a
fitted classifier say whether it came out so. All are taken in one space of parameters, the same for every method: a
linear adapter behind each feature, at its start,

    z_D = u(z (I + D_I)),    w_D = u(w (I + D_T)),    logits_D = s z_D w_D^T,    D = (D_I, D_T) = 0

with z (N, D), w (C, D) the method's own unit image and class features, u(x) = x / |x|. CRoFT trains such adapters.

* energy gradient of a set of images: | d/dD mean_n logsumexp_c logits_D |
* Hessian distance of domains e, f, ...: root of (mean over pairs of |H_e - H_f|_F^2 / mean over domains of |H_e|_F^2),
  H_e = d^2/dD^2 of the mean cross entropy on domain e; 0 for equal Hessians, sqrt(2) for orthogonal ones. Frobenius
  norms are means of |H v|^2 over random signs v, the same for all domains.
* the same distance between the Hessians' diagonals, which are exact.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.errors import DataError
from croftbench.training import unit

PROBES = 16
"""Random sign vectors; the relative standard error of a squared norm is below sqrt(2 / PROBES)."""

Pair = tuple[Tensor, Tensor]
"""A point or direction of the parameter space: (D_I, D_T), each (D, D)."""


@dataclass(frozen=True)
class Classified:
    """Images as a fitted method sees them, float64.

    Attributes:
        z: (N, D) unit image features.
        w: (C, D) unit class features.
        s: logit scale.
        y: (N,) labels; not used for unknown classes.
    """

    z: Tensor
    w: Tensor
    s: float
    y: Tensor

    def logits(self, at: Pair) -> Tensor:
        """(N, C) logits behind the adapters I + D."""
        return self.s * unit(self.z + self.z @ at[0]) @ unit(self.w + self.w @ at[1]).T

    def start(self) -> Pair:
        """D = 0, for features of this size."""
        d = self.z.shape[1]
        return self.z.new_zeros(d, d), self.z.new_zeros(d, d)


def energy_gradient(images: Classified) -> float:
    """| d/dD of the mean energy |, a norm over both adapters; in nats per unit of D.

    Closed form at D = 0, with p the softmax of the logits and x - y <x, y> the derivative of u at unit y:

        D_I: z^T a / N,  a_n = s (v_n - z_n <z_n, v_n>),  v_n = sum_c p_nc w_c
        D_T: w^T b / N,  b_c = s sum_n p_nc (z_n - w_c <w_c, z_n>)
    """
    z, w, s = images.z, images.w, images.s
    cosine = z @ w.T
    p = (s * cosine).softmax(1)  # (N, C)
    pc = p * cosine
    a = p @ w - z * pc.sum(1, keepdim=True)  # (N, D)
    b = p.T @ z - w * pc.sum(0).unsqueeze(1)  # (C, D)
    squares = (z.T @ a).square().sum() + (w.T @ b).square().sum()
    return float(s * squares.sqrt() / len(z))


@dataclass(frozen=True)
class HessianDistance:
    """How unlike the domains' Hessians are; see the top of this file. `norm` is the root mean square of |H_e|_F."""

    full: float
    diagonal: float
    norm: float


def hessian_distance(domains: Sequence[Classified], rng: torch.Generator, probes: int = PROBES) -> HessianDistance:
    """Distances between the Hessians of two or more domains.

    Raises:
        DataError: fewer than two domains.
    """
    if len(domains) < 2:
        raise DataError(f"{len(domains)} domain(s) give no distance.", "Two are needed.")
    pairs = list(itertools.combinations(range(len(domains)), 2))
    products = [curvature(domain) for domain in domains]
    size, apart = 0.0, 0.0
    for _ in range(probes):
        v = torch.randint(0, 2, (2, *domains[0].start()[0].shape), generator=rng).to(domains[0].z) * 2 - 1
        Hv = [torch.stack(product((v[0], v[1]))) for product in products]
        size += fmean(_square(one) for one in Hv) / probes
        apart += fmean(_square(Hv[e] - Hv[f]) for e, f in pairs) / probes
    diagonals = [torch.stack(diagonal(domain)) for domain in domains]
    return HessianDistance(
        (apart / size) ** 0.5,
        (fmean(_square(diagonals[e] - diagonals[f]) for e, f in pairs) / fmean(map(_square, diagonals))) ** 0.5,
        size**0.5,
    )


def curvature(domain: Classified) -> Callable[[Pair], Pair]:
    """The map v -> H v of a domain's mean cross entropy at D = 0: forward over reverse, H itself never formed."""

    def loss(at: Pair) -> Tensor:
        return cross_entropy(domain.logits(at), domain.y)

    gradient = torch.func.grad(loss)

    def product(v: Pair) -> Pair:
        Hv: Pair = torch.func.jvp(gradient, (domain.start(),), (v,))[1]
        return Hv

    return product


def diagonal(domain: Classified) -> Pair:
    """The diagonal of H, (D, D) for each adapter, in closed form.

    An entry D[k, l] moves coordinate l of a feature x before its normalisation, by x_k. There, c = <w, x / |x|> has the
    derivatives g_l = w_l - x_l c and h_l = -2 w_l x_l - c + 3 c x_l^2 at |x| = 1, and with p the softmax, r = p - [y]:

        D_I[k, l]:  mean_n z_nk^2 ( s^2 Var_p(g_l) + s sum_c r_c h_cl )
        D_T[k, l]:  mean_n ( s^2 Var_p(w_ck g_cl) + s sum_c r_c w_ck^2 h_cl )
    """
    z, w, s, n = domain.z, domain.w, domain.s, len(domain.z)
    cosine = z @ w.T
    p = (s * cosine).softmax(1)
    r = p - torch.nn.functional.one_hot(domain.y, len(w))
    pc, rc = p * cosine, r * cosine
    pcc = pc * cosine
    z2, w2 = z.square(), w.square()

    square = p @ w2 - 2 * z * (pc @ w) + z2 * pcc.sum(1, keepdim=True)  # sum_c p_c g_l^2, (N, D)
    mean = p @ w - z * pc.sum(1, keepdim=True)
    second = -2 * z * (r @ w) + (3 * z2 - 1) * rc.sum(1, keepdim=True)
    image = z2.T @ (s * s * (square - mean.square()) + s * second) / n

    square = p.T @ z2 - 2 * w * (pc.T @ z) + w2 * pcc.sum(0)[:, None]  # sum_n p_c g_cl^2, (C, D)
    second = -2 * w * (r.T @ z) + (3 * w2 - 1) * rc.sum(0)[:, None]
    text = w2.T @ (s * s * square + s * second) / n
    for z_n, p_n, pc_n in zip(z, p, pc, strict=True):  # one image at a time: memory stays (D, D)
        mean = torch.outer(p_n @ w, z_n) - (w * pc_n[:, None]).T @ w  # sum_c p_c w_ck g_cl, (D, D)
        text -= s * s * mean.square() / n
    return image, text


def _square(x: Tensor) -> float:
    return float(x.square().sum())
