"""GalLoP against open_clip's towers run prompt by prompt and layer by layer, places sorted by hand, SGD by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from croftbench.encoders import unprojected
from croftbench.method import Examples, Task, Towers
from croftbench.methods.gallop import GalLoP, top_places
from croftbench.training import Recipe

S, DECAY = 20.0, 0.01
RATES = (0.02, 0.01)  # of a cosine over two epochs, from the first one on
RECIPE = Recipe(lr=0.02, epochs=2, batch=8, weight_decay=DECAY, warmup=0)


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def images(task: Task, view: int = 0) -> Tensor:
    return task.train.batch(view, torch.arange(12))


def texts(tiny, names, contexts: Tensor) -> Tensor:
    """(n, C, D) of prompts without a full stop."""
    rows = []
    for context in contexts:
        for name in (one.replace("_", " ") for one in names):
            e = tiny.embed(name)
            prompt = torch.cat([e[:1], context, e[1 : -len(context)]])
            rows.append(tiny.read(prompt, len(context) + tiny.tokens(name) + 1))
    return unit(torch.stack(rows)).unflatten(0, (len(contexts), -1))


def likeliest(q: Tensor, row: Tensor, k: int) -> Tensor:
    """Mean of the k largest cosines of one image's places with one class."""
    return torch.stack(sorted((q @ row).unbind(), key=lambda x: float(x.detach()), reverse=True)[:k]).mean()


Seen = list[tuple[Tensor, Tensor]]
"""Of each image its feature (D,), and its places as A takes them (P, V)."""


def of_image(image: tuple[Tensor, Tensor], mapped: Callable[[Tensor], Tensor], t: Tensor, w: Tensor, kept: list[int]):
    """What one image's classes get of its contexts (C,), and of each context for places (n, C)."""
    z, q = unit(image[0]), unit(mapped(image[1]))
    whole = torch.stack([sum(z @ t[i, c] for i in kept) / len(kept) for c in range(3)])
    places = torch.stack([torch.stack([likeliest(q, row, j + 1) for row in w[j]]) for j in range(len(w))])
    return whole, places


def by_layers(visual, pixels: Tensor) -> Seen:
    """As the authors' image transformer of one block gives them: its values, added to what they are the values of, go
    through its MLP as its tokens do, and through its last norm; none of them through its projection.
    """
    found: Seen = []
    (block,) = visual.transformer.resblocks
    for image in pixels:
        cut = visual.conv1(image[None]).flatten(2)[0].T
        x = visual.ln_pre(torch.cat([visual.class_embedding[None], cut]) + visual.positional_embedding)
        weight, bias = block.attn.in_proj_weight.chunk(3)[2], block.attn.in_proj_bias.chunk(3)[2]
        v = x + block.attn.out_proj(block.ln_1(x) @ weight.T + bias)
        v = visual.ln_post(v + block.mlp(block.ln_2(v)))
        found.append((visual(image[None])[0], v[1:]))  # the class token is no place
    return found


@pytest.fixture
def pixels() -> Tensor:
    """(V, N, 3, H, W), twelve images in four views."""
    return torch.randn(4, 12, 3, 32, 32, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@pytest.fixture
def vit_task(tiny, place_task: Task, pixels: Tensor) -> Task:
    """These as an image transformer, 32 wide, gives them before its projection to 16."""
    given = torch.stack([unprojected.encode_patches(tiny.model, view) for view in pixels])
    train = Examples(given[:, :, 0], place_task.train.labels, place_task.train.domains, lambda v, rows: given[v][rows])
    towers = Towers(tiny.tower, projection=unprojected.projection(tiny.model))
    return replace(place_task, train=train, towers=towers)


@pytest.mark.parametrize("variant", ["correct", "official"])
@pytest.mark.parametrize("kind", ["joint space", "image transformer"])
def test_two_epochs_restated(tiny, place_task, vit_task, pixels, measured, variant, kind):
    """Three contexts for images, two of which an image keeps; two for places, of the first and of the first two."""
    task = vit_task if kind == "image transformer" else place_task
    rng, words, visual = task.generator(), tiny.embed("a photo of a")[1:5], tiny.model.visual
    width = 32 if task is vit_task else 16
    flat = [words.repeat(3, 1, 1), words.repeat(2, 1, 1), torch.eye(width, dtype=torch.float64)]

    def seen(view: int = 0) -> Seen:
        if task is vit_task:
            return by_layers(visual, pixels[view])
        return [(image[0], image[1:]) for image in images(task, view)]

    def mapped(A: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda p: p @ A.T @ visual.proj if task is vit_task else p @ A.T

    speed, losses = [torch.zeros_like(x) for x in flat], []
    for epoch, rate in enumerate(RATES):
        rows = torch.randperm(12, generator=rng)[:8]
        if variant == "official":
            kept = torch.randint(3, (8, 2), generator=rng).tolist()
        else:
            kept = [row.argsort()[:2].tolist() for row in torch.rand(8, 3, generator=rng)]
        leaves = [x.requires_grad_() for x in flat]
        v, w, A = leaves
        t, local = (texts(tiny, task.classnames, contexts) for contexts in (v, w))
        loss = torch.zeros((), dtype=torch.float64)
        shown, labels = seen(epoch), task.train.labels[rows].tolist()
        for row, y, own in zip(rows.tolist(), labels, kept, strict=True):
            whole, places = of_image(shown[row], mapped(A), t, local, own)
            for logits, share in ((S * whole, 8), *((S * row, 16) for row in places)):
                loss = loss + ((logits.exp().sum()).log() - logits[y]) / share
        losses.append(loss.item())
        grads = torch.autograd.grad(loss, leaves)
        flat = [x.detach() for x in leaves]
        speed = [0.9 * u + g + DECAY * x for u, g, x in zip(speed, grads, flat, strict=True)]
        flat = [x - rate * u for x, u in zip(flat, speed, strict=True)]
    reported: list[float] = []
    watched = replace(task, on_epoch=lambda *at: reported.append(at[2]))
    method = GalLoP(n_global=3, n_local=2, k=1, dropout=0.5, tau=0.1, variant=variant, recipe=RECIPE)
    found = method.fit(watched)(images(task))
    assert reported == pytest.approx(losses, rel=1e-12)
    v, w, A = flat
    with torch.no_grad():
        t, local = (texts(tiny, task.classnames, contexts) for contexts in (v, w))
        logits, scores = [], []
        for image in seen():
            whole, places = of_image(image, mapped(A), t, local, [0, 1, 2])
            logits.append(S * (whole + places.mean(0)) / 2)
            everywhere = unit(mapped(A)(image[1])) @ local.mean(0).T
            m = torch.softmax(whole / 0.1, 0).max() + torch.softmax(everywhere / 0.1, 1).max()
            scores.append(math.log(m / 2) - math.log(1 - m / 2) + math.log(2))
    measured("gallop", found.logits, torch.stack(logits))
    assert found.scores["gl_mcm"].tolist() == pytest.approx(scores, rel=1e-10)
    torch.testing.assert_close(found.features, unit(torch.stack([z for z, _ in seen()])), rtol=1e-12, atol=1e-12)
    assert found.classes is None


def test_k_stops_at_all_places(place_task):
    q, t = unit(images(place_task)[:, 1:]), unit(place_task.text).expand(3, -1, -1)
    two, four, six = top_places(q, t, 2)
    assert torch.equal(four, six) and not torch.allclose(two, four)
    torch.testing.assert_close(four, (q @ t[0].T).mean(1))


@pytest.mark.parametrize(("m", "dropout", "count"), [(4, 0.75, 1), (4, 0.5, 2), (4, 0.0, 4), (4, 1.0, 1), (1, 0.75, 1)])
def test_how_many_contexts_an_image_keeps(m, dropout, count):
    method, rng = GalLoP(n_global=m, dropout=dropout), torch.Generator().manual_seed(0)
    kept, official = method.kept(200, rng), replace(method, variant="official").kept(200, rng)
    assert kept.shape == official.shape == (200, count)
    assert all(len(set(row)) == count for row in kept.tolist())
    assert set(kept.flatten().tolist()) == set(official.flatten().tolist()) == set(range(m))
    assert any(len(set(row)) < count for row in official.tolist()) == (count > 1)


def test_dropout_tells_contexts_of_images_apart_and_scale_those_of_places(place_task):
    def spread(**changed) -> tuple[float, float]:
        seen: list[Tensor] = []
        tower = place_task.towers.text
        encode = tower.encode

        class Watched:
            def __getattr__(self, name):
                return getattr(tower, name)

            def encode(self, shared, *rest):
                seen.append(shared.detach())
                return encode(shared, *rest)

        task = replace(place_task, towers=type(place_task.towers)(Watched()))
        GalLoP(n_global=3, n_local=2, recipe=RECIPE, **changed).fit(task)
        return tuple(max((a - b).abs().max().item() for a, b in pairwise(x)) for x in seen[-2:])

    images_apart, places_apart = spread(k=1)
    assert min(images_apart, places_apart) > 1e-6
    images_apart, places_apart = spread(k=3, dropout=0.0)
    assert max(images_apart, places_apart) < 1e-12


def test_the_order_of_places_does_not_matter_and_other_names_can_be_told_apart(place_task):
    f, predictor = images(place_task), GalLoP(k=1, recipe=RECIPE).fit(place_task)
    found = predictor(f)
    turned = predictor(f[:, [0, 3, 1, 2]])
    torch.testing.assert_close(turned.logits, found.logits)
    torch.testing.assert_close(turned.scores["gl_mcm"], found.scores["gl_mcm"])
    renamed = predictor.with_classes((place_task.classnames[2], place_task.classnames[0]), place_task.text[[2, 0]])
    torch.testing.assert_close(renamed(f).logits, found.logits[:, [2, 0]])


def test_published_defaults():
    method = GalLoP()
    assert (method.n_global, method.n_local, method.dropout, method.words) == (4, 4, 0.75, "a photo of a")
    assert [method.k * j for j in (1, 2, 3, 4)] == [5, 10, 15, 20] and method.tau == 1.0
    assert method.recipe == Recipe(lr=0.002, epochs=200, batch=32, momentum=0.9, weight_decay=0.01, warmup=0)
    with pytest.raises(ValueError, match="words must not be empty"):
        GalLoP(words="")
