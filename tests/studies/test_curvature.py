"""Energy gradients and Hessians against automatic differentiation of the definition."""

import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from croftbench.errors import DataError
from croftbench.studies.curvature import Classified, diagonal, energy_gradient, hessian_distance

D, C = 5, 4


def domain(seed: int, n: int = 7) -> Classified:
    random = torch.Generator().manual_seed(seed)
    classes = torch.randn(C, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = torch.randn(n, D, generator=random, dtype=torch.float64)
    return Classified(normalize(images), normalize(classes), 20.0, torch.randint(0, C, (n,), generator=random))


def logits(images: Classified, at: torch.Tensor) -> torch.Tensor:
    """The definition: an adapter behind either feature; `at` is both adapters' changes, flat."""
    eye = torch.eye(D, dtype=torch.float64)
    of_image, of_text = at.view(2, D, D)
    return images.s * normalize(images.z @ (eye + of_image)) @ normalize(images.w @ (eye + of_text)).T


def hessian(images: Classified) -> torch.Tensor:
    start = torch.zeros(2 * D * D, dtype=torch.float64)
    return torch.func.hessian(lambda at: cross_entropy(logits(images, at), images.y))(start)


def test_the_energy_gradient_is_that_of_the_definition():
    images = domain(1)
    start = torch.zeros(2 * D * D, dtype=torch.float64)
    gradient = torch.func.grad(lambda at: logits(images, at).logsumexp(1).mean())(start)
    assert energy_gradient(images) == pytest.approx(float(gradient.norm()), rel=1e-10)


def test_copies_of_the_images_change_nothing():
    images = domain(1)
    twice = Classified(images.z.repeat(2, 1), images.w, images.s, images.y.repeat(2))
    assert energy_gradient(twice) == pytest.approx(energy_gradient(images), rel=1e-12)
    assert torch.allclose(torch.stack(diagonal(twice)), torch.stack(diagonal(images)))


def test_the_diagonal_is_exact():
    images = domain(2)
    assert torch.allclose(torch.stack(diagonal(images)).flatten(), hessian(images).diag(), atol=1e-11)


def test_distances_are_those_of_the_full_hessians():
    domains = [domain(seed) for seed in (1, 2, 3)]
    full = [hessian(one) for one in domains]
    size = sum(H.square().sum() for H in full) / 3
    apart = sum((a - b).square().sum() for a, b in itertools.combinations(full, 2)) / 3
    found = hessian_distance(domains, torch.Generator().manual_seed(0), probes=3000)
    assert found.full == pytest.approx(float((apart / size).sqrt()), rel=0.05)
    assert found.norm == pytest.approx(float(size.sqrt()), rel=0.05)
    diagonals = [H.diag() for H in full]
    size = sum(d.square().sum() for d in diagonals) / 3
    apart = sum((a - b).square().sum() for a, b in itertools.combinations(diagonals, 2)) / 3
    assert found.diagonal == pytest.approx(float((apart / size).sqrt()), rel=1e-9)


def test_a_domain_is_no_distance_from_itself():
    found = hessian_distance([domain(1), domain(1)], torch.Generator().manual_seed(0))
    assert found.full == found.diagonal == 0
    assert found.norm > 0


def test_one_domain_has_no_distance():
    with pytest.raises(DataError, match="1 domain"):
        hessian_distance([domain(1)], torch.Generator())
