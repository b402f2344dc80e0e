"""Every registered method keeps the contract of croftbench.method: one test a promise, over all of them."""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch

from croftbench import encoders, plugins
from croftbench.errors import UsageError
from croftbench.method import Examples, Method, Outputs, Renamable, Task, Towers
from croftbench.plugins.recipes import at_shots

NAMES = ("octopus", "red apple", "violin", "bus")
DOMAINS = ("ink", "paint", "photo")
D, N, V, P = 256, 24, 3, 4


@pytest.fixture(scope="module")
def encoder():
    return encoders.load(encoders.EMBEDDED)


@pytest.fixture(scope="module")
def tower(encoder):
    return encoder.text_tower()


@pytest.fixture(params=sorted(plugins.BUILT_IN))
def info(request, cache):
    return plugins.describe(request.param, cache)


@pytest.fixture
def task(info, tower):
    random = torch.Generator().manual_seed(7)
    centres = torch.randn(len(NAMES), D, generator=random)
    labels = torch.arange(N) % len(NAMES)
    views = as_needed(info, centres[labels] + 0.5 * torch.randn(V, N, D, generator=random))
    shown = views if info.train else views[:, :0]
    return Task(
        NAMES,
        Examples(shown, labels[: shown.shape[1]], torch.arange(N)[: shown.shape[1]] % 3),
        None,
        centres + 0.5 * torch.randn(len(NAMES), D, generator=random),
        30.0,
        seed=1,
        towers=Towers(tower if info.text == "tower" else None),
        domains=DOMAINS,
    )


def as_needed(info, whole):
    """The images as the method declares to need them: (..., D), or (..., 1 + P, D) with places around them."""
    if info.image == "features":
        return whole
    random = torch.Generator().manual_seed(11)
    places = whole.unsqueeze(-2) + torch.randn(*whole.shape[:-1], P, D, generator=random)
    return torch.cat([whole.unsqueeze(-2), places], dim=-2)


def fitted(info, task):
    short = {k: v for k, v in {"epochs": 2, "batch": 8}.items() if k in info.params}
    return plugins.build(info, info.resolve(short)).fit(task)


@pytest.mark.parametrize("recipe", ["authors", "croft-comparison"])
def test_it_trains_by_both_named_recipes(info, task, images, recipe):
    short = {k: v for k, v in {"epochs": 2}.items() if k in info.params}
    layer = at_shots(info.named_recipe(recipe), 16)
    task = replace(task, val=task.train, templates=("a photo of a {}.",), raw_text=2 * task.text)
    outputs = plugins.build(info, info.resolve(layer, short)).fit(task)(images)
    assert outputs.logits.shape == (len(images), len(NAMES))
    assert torch.isfinite(outputs.logits).all()


@pytest.fixture
def images(info):
    return as_needed(info, torch.randn(10, D, generator=torch.Generator().manual_seed(3)))


def test_it_is_a_frozen_dataclass_with_defaults(info):
    method = plugins.build(info, info.resolve())
    assert isinstance(method, Method)
    assert is_dataclass(method)
    with pytest.raises(AttributeError):
        setattr(method, next((f.name for f in fields(method)), "anything"), 0)


def test_outputs_have_the_promised_shapes_and_unit_features(info, task, images):
    outputs = fitted(info, task)(images)
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == (10, len(NAMES))
    assert outputs.features.shape == (10, D)
    # CRoFT's published normalisation adds 1e-6 to the norm
    assert torch.allclose(outputs.features.norm(dim=1), torch.ones(10), atol=1e-5)


def test_fitting_twice_gives_the_same_bits(info, task, images):
    one, two = (fitted(info, task)(images).logits for _ in range(2))
    assert torch.equal(one, two)


def test_inputs_are_left_alone(info, task, images):
    before = [x.clone() for x in (task.train.views, task.train.labels, task.text, images)]
    fitted(info, task)(images)
    for kept, x in zip(before, (task.train.views, task.train.labels, task.text, images), strict=True):
        assert torch.equal(kept, x)


def test_an_image_is_scored_alike_whatever_is_beside_it(info, task, images):
    if info.transductive:
        pytest.skip(f"{info.name} is transductive: an image's outputs depend on those predicted with it, as declared")
    predictor = fitted(info, task)
    alone = torch.cat([predictor(image[None]).logits for image in images])
    assert torch.allclose(alone, predictor(images).logits, rtol=1e-4, atol=1e-4)


def test_given_other_names_it_is_the_classifier_of_those(info, task, images):
    predictor = fitted(info, task)
    if not isinstance(predictor, Renamable):
        pytest.skip("its classes are those that it was trained on")
    order = [2, 0]
    names, text = tuple(NAMES[i] for i in order), task.text[order]
    renamed = predictor.with_classes(names, text)(images)
    torch.testing.assert_close(renamed.logits, predictor(images).logits[:, order], rtol=1e-4, atol=1e-4)


def test_the_towers_are_never_trained(info, task, encoder):
    weights = {name: p.clone() for name, p in encoder.model.named_parameters()}
    fitted(info, task)
    for name, p in encoder.model.named_parameters():
        assert torch.equal(weights[name], p), name
        assert p.grad is None, name


def test_a_tower_that_was_not_declared_is_an_error_that_names_the_fix():
    with pytest.raises(UsageError, match=r'Needs\(text="tower"\)'):
        _ = Towers().text
