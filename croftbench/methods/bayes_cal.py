"""Bayes-CAL: prompts with a posterior, kept apart from what tells the domains.

Bayesian Cross-Modal Alignment Learning for Few-Shot Out-of-Distribution Generalization.
AAAI 2023, arXiv 2504.09448. Code of the authors: LinLLLL/BayesCAL, and in LinLLLL/CRoFT, which compares with it.

Two contexts are learned, each with a Gaussian posterior: one before the class names, one before the names of the
training domains. A sample of each is drawn at every step:

    min over q, q':   CE(l, y) + a1 CE(l', d) + a2 IRM + a3 orth + beta ( KL(q | p) + KL(q' | p') )       (1)
    l    = s z t(v)^T,   l' = s z t'(v')^T,   v = mu + sigma^2 eps,   eps ~ N(0, 1)                       (2)
    IRM  = sum over domains of ( d/da CE(a l, y) of its images, at a = 1 )^2                              (3)
    orth = sum_i cos^2( d CE(l, y) / d f_i,  d CE(l', d) / d f_i )                                        (4)
    KL   = sum log(rho / sigma^2) + ( sigma^4 + (mu - mu_0)^2 ) / (2 rho^2) - 1/2                         (5)

    mu, sigma    (M, W)  the posterior q of a context is N(mu, sigma^4): its standard deviation is sigma^2
    mu_0         (M, W)  mean of the prior p, a draw of N(0, 0.02^2); q starts as p
    rho                  standard deviation of p
    '                    the same for the domains' context
    t(v)         (C, D)  u( g( [SOS] v_1 ... v_M <name>. [EOS] ) );  t' of the domains' names
    y, d         (N,)    labels and domains                         f   (N, D)  raw image features
    z            (N, D)  u(f)                                       g           frozen text tower, read at [EOS]
    u(x)         x / (|x| + 1e-6), row by row                       s           logit scale

The class is told with the posterior's mean. Names are those of the domains that have training images, never of the one
that is left out. With one training domain l' has one column, so that the terms of a1 and a3 are 0 and its context is
not learned; (3) remains, of one domain.

`variant="official"` is the published code: see the places marked PUBLISHED CODE. There sigma starts at 1e-5: a standard
deviation of 1e-10, of which single precision keeps no noise, and for which (5) could not be minimised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task, later
from croftbench.prompting import STD, Prompts, initial_context
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["BayesCAL", "Context", "Terms", "irm", "orthogonality", "sample"]

EPS = 1e-6
SIGMA = 1e-5
"""Where sigma starts in the published code, for posterior and prior."""
TINY = 1e-12
"""Smallest |sigma| that (5) sees."""


class Context(NamedTuple):
    """A posterior and its prior's mean; `mu` and `sigma` are leaf tensors, (M, W)."""

    mu: Tensor
    sigma: Tensor
    mu0: Tensor

    @classmethod
    def start(cls, mu0: Tensor, sigma: float) -> Context:
        """A posterior around its prior's mean."""
        return cls(mu0.clone().requires_grad_(), torch.full_like(mu0, sigma).requires_grad_(), mu0)


def sample(q: Context, eps: Tensor) -> Tensor:
    """A draw of q: equation (2)."""
    return q.mu + q.sigma.square() * eps


class Terms(NamedTuple):
    """What (1) adds up, scalars without their weights, but KL with beta."""

    ce: Tensor
    ce_domain: Tensor
    irm: Tensor
    orth: Tensor
    kl: Tensor


def irm(logits: Tensor, y: Tensor, domains: Tensor) -> Tensor:
    """Equation (3). The derivative of CE(a l, y) at a = 1 is the mean of sum_c softmax(l)_c l_c - l_y."""
    slope = (logits.softmax(1) * logits).sum(1) - logits.gather(1, y[:, None]).squeeze(1)  # (N,)
    squares = [slope[domains == d].mean().square() for d in domains.unique()]  # type: ignore[no-untyped-call]
    return torch.stack(squares).sum()


def orthogonality(ce: Tensor, ce_domain: Tensor, f: Tensor, trains: bool) -> Tensor:
    """Equation (4); a constant unless it `trains`."""
    one, two = (
        unit(torch.autograd.grad(x, f, retain_graph=True, create_graph=trains)[0], EPS) for x in (ce, ce_domain)
    )
    return (one * two).sum(1).square().sum()


@dataclass(frozen=True)
class BayesCAL:
    """Hyper-parameters of Bayes-CAL.

    Attributes:
        variant: "correct" is (1) to (5); "official" the published code.
        n_ctx: M, vectors of each context.
        a1, a2, a3: weights in (1), those of the authors' scripts.
        beta: weight of KL, the published one. The evidence lower bound would have 1 / training images.
        rho: standard deviation of the priors, where the posteriors start: that of the draw of mu_0. "official" does
            not read it; a constant that it adds to 2 rho^2 works like a rho of 0.022.
        recipe: the optimiser, the same for both contexts.
        words: what both contexts start as, and M the number of their tokens; random if empty.
    """

    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # LinLLLL/BayesCAL, scripts/bcal_pacs.sh, bcal_vlcs.sh and configs/trainers/BCAL/ViT_ep30.yaml; weight decay is its
    # dassl/config/defaults.py. It draws a1, a2 and a3 at random, 20 times (run_PACS.py: 1e-4 to 0.1, 0.1 to 1, 1e-4
    # to 0.1), and chooses on validation images; what CRoFT's scripts fix lies inside, and stays.
    recipes: ClassVar[Recipes] = {"authors": {"words": "a photo of a", "weight_decay": 5e-4}, "croft-comparison": {}}

    variant: Literal["correct", "official"] = "correct"
    n_ctx: int = 16
    a1: float = 0.01
    a2: float = 0.5
    a3: float = 0.01
    beta: float = 1e-8
    rho: float = STD
    recipe: Recipe = field(default_factory=Recipe)
    words: str = later("")

    def __post_init__(self) -> None:
        if self.n_ctx < 1 or self.rho <= 0:
            raise ValueError("n_ctx must be 1 or more, and rho above 0")

    def fit(self, task: Task, /) -> Predictor:
        """Train both contexts for `recipe.epochs` and return the classifier with the last epoch's posterior.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest name do not fit the text tower.
        """
        tower, s, rng = task.towers.text, task.logit_scale, task.generator()
        present: list[int] = task.train.domains.unique().tolist()  # type: ignore[no-untyped-call]
        names = Prompts(tower, task.classnames)
        # PUBLISHED CODE: names of all domains, the one that is left out too; a task does not know that one.
        shown = range(len(task.domains)) if self.variant == "official" else present
        domains = Prompts(tower, tuple(task.domains[d] for d in shown))
        row = {d: i for i, d in enumerate(shown)}
        where = torch.tensor([row.get(d, -1) for d in range(len(task.domains))], device=task.device)
        sigma = SIGMA if self.variant == "official" else math.sqrt(self.rho)
        shape = (self.n_ctx, tower.width)
        q, q_domain = (Context.start(initial_context(tower, shape, rng, self.words), sigma) for _ in range(2))

        def noise() -> tuple[Tensor, Tensor]:
            one, two = (torch.randn(q.mu.shape, generator=rng, dtype=q.mu.dtype).to(task.device) for _ in range(2))
            return one, two

        def loss(batch: Batch) -> Tensor:
            batch = Batch(batch.features, batch.labels, where[batch.domains])
            return self.loss(self.terms(batch, names, domains, q, q_domain, noise(), s))

        descend(task, self.recipe, [q.mu, q.sigma, q_domain.mu, q_domain.sigma], rng, loss)
        # PUBLISHED CODE: a sample for each test batch; here one for all, so that an image's scores are its own.
        v = (sample(q, noise()[0]) if self.variant == "official" else q.mu).detach()

        def texts(names: tuple[str, ...], text: Tensor) -> Tensor:
            return Prompts(tower, names).features(v, EPS)

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z = unit(f, EPS)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(texts, predict, task.classnames, task.text)

    def terms(
        self, batch: Batch, names: Prompts, domains: Prompts, q: Context, q_domain: Context, eps: tuple[Tensor, Tensor],
        s: float,
    ) -> Terms:  # fmt: skip
        """The terms of (1) for a batch and two draws of noise; `batch.domains` count the rows of `domains`."""
        f = batch.features.detach().requires_grad_()
        t = names.features(sample(q, eps[0]), EPS)
        z = unit(f, EPS).to(t.dtype)
        logits = s * z @ t.T
        ce, zero = cross_entropy(logits, batch.labels), logits.new_zeros(())
        penalty, kl = irm(logits, batch.labels, batch.domains), self.kl(q)
        if len(domains.end) == 1:
            return Terms(ce, zero, penalty, zero, kl)
        ce_domain = cross_entropy(s * z @ domains.features(sample(q_domain, eps[1]), EPS).T, batch.domains)
        # PUBLISHED CODE: the gradients are not differentiable, so that this term trains nothing.
        orth = orthogonality(ce, ce_domain, f, trains=self.variant == "correct")
        return Terms(ce, ce_domain, penalty, orth, kl + self.kl(q_domain))

    def loss(self, terms: Terms) -> Tensor:
        """Equation (1)."""
        return terms.ce + self.a1 * terms.ce_domain + self.a2 * terms.irm + self.a3 * terms.orth + terms.kl

    def kl(self, q: Context) -> Tensor:
        """KL(q | p) times beta: equation (5)."""
        moved = (q.mu - q.mu0).square()
        if self.variant == "official":
            # PUBLISHED CODE: 0.001 keeps logarithm and quotient finite, and outweighs the deviations; no 1/2.
            rho, std = SIGMA**2, q.sigma.square()
            kl = (rho / std + 1e-3).log() + (std.square() + moved) / (2 * rho**2 + 1e-3)
            return (self.beta * kl.sum()).clamp(min=0)
        std = q.sigma.abs().clamp(min=TINY).square()
        kl = math.log(self.rho) - std.log() + (std.square() + moved) / (2 * self.rho**2) - 0.5
        return self.beta * kl.sum()
