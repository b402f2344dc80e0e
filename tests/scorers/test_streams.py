"""AdaNeg and TANL against recorded outputs of their authors' code, and what a stream is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from croftbench import scorers
from croftbench.errors import UsageError
from croftbench.method import Outputs
from croftbench.runs import streaming
from croftbench.scorers import Context, NotApplicableError, streams

NOUN = "the nice {}"
BATCH = 64


class World:
    """What was recorded: YBZh/OpenOOD-VLM's `TTAPromptPostprocessor_noadagap` and `ActivatedNegPostprocessor` over 300
    images of a small random world, half of them near a class and half near a word, in batches of 64.
    """

    def __init__(self, recorded, folder):
        self.recorded = {name: torch.from_numpy(array) for name, array in recorded.items()}
        self.w, self.n, self.z = (self.recorded[name] for name in "wnz")
        self.scale = float(self.recorded["scale"])
        self.classes = [f"class {i}" for i in range(len(self.w))]
        named = {f"word {i}": vector for i, vector in enumerate(self.n)}
        named |= dict(zip(self.classes, self.w, strict=True))
        self.named = {NOUN.format(name): vector for name, vector in named.items()}
        self.words = folder / "words.txt"
        self.words.write_text("\n".join(f"word {i}" for i in range(len(self.n))), encoding="utf-8")

    def context(self):
        def encode(prompts):
            return torch.stack([3 * self.named[prompt] for prompt in prompts])  # raw: not of unit length

        def drawn(draw):
            assert draw((5, 4)).shape == (15, 3, 5, 4)
            return self.recorded["noise"]

        return Context(pytest.fail, torch.zeros(1), self.scale, self.classes, ["{}"], encode, drawn)

    def outputs(self, z=None):
        z = self.z if z is None else z
        return Outputs(self.scale * z @ self.w.T, z, self.w)

    def stream(self, name, settings=""):
        return scorers.parse(f"{name}:words={self.words},batch={BATCH}{settings}").stream(self.context())

    def scores(self, name, settings=""):
        """In the recorded order, batch by batch."""
        score = self.stream(name, settings).start()
        return torch.cat([score(self.outputs(z)) for z in torch.split(self.z, BATCH)])


@pytest.fixture
def world(oracle, tmp_path):
    return World(oracle("streams"), tmp_path)


@pytest.mark.parametrize("memory", [3, 10])
def test_adaneg_is_its_authors(world, close, memory):
    scores = world.scores("adaneg", f",share=1,memory={memory}")
    close(1.1 * scores.sigmoid(), world.recorded[f"adaneg_{memory}"].numpy())  # theirs is q + 0.1 q


@pytest.mark.parametrize(("top", "memory"), [(20, 9), (53, 300)])
def test_tanl_is_its_authors(world, close, top, memory):
    scores = world.scores("tanl", f",top={top},memory={memory}")
    close(scores.sigmoid(), world.recorded[f"tanl_{top}_{memory}"].numpy())


@pytest.mark.parametrize("name", ["adaneg", "tanl"])
def test_a_stream_starts_with_no_memory_of_another(world, name):
    stream, first = world.stream(name), []
    for _ in range(2):
        score = stream.start()
        first.append(score(world.outputs(world.z[:BATCH])))
        score(world.outputs(world.z[BATCH:]))
    assert torch.equal(*first)


@pytest.mark.parametrize(("name", "settings"), [("adaneg", ""), ("tanl", ",blend=1,top=20")])
def test_what_came_before_matters(world, name, settings):
    score = world.stream(name, settings).start()
    before = score(world.outputs(world.z[:BATCH]))
    score(world.outputs(world.z[BATCH:]))
    assert not torch.equal(before, score(world.outputs(world.z[:BATCH])))


def test_the_threshold_parts_two_heaps():
    def within(p, threshold):
        parts = [p[p >= threshold], p[p < threshold]]
        return sum(len(part) * float(part.var(unbiased=False)) for part in parts if len(part)) / len(p)

    p = torch.tensor([0.02, 0.05, 0.11, 0.3, 0.78, 0.8, 0.97], dtype=torch.float64)
    found = streams._otsu(p)
    least = min(within(p, t / 100) for t in range(3, 97))
    assert within(p, found) == pytest.approx(least, rel=1e-12)
    best = [t / 100 for t in range(3, 97) if within(p, t / 100) == pytest.approx(least, rel=1e-12)]
    assert found == pytest.approx(best[len(best) // 2])
    assert streams._otsu(torch.ones(4, dtype=torch.float64)) == 0.5, "one heap: every threshold is as good"


@pytest.mark.parametrize("how", ["mixed", "known-first", "unknown-first"])
def test_an_order_has_every_image_once_and_is_the_seed_s(how):
    order = streaming.order(30, 20, how, seed=3)
    assert sorted(order) == list(range(50))
    assert np.array_equal(order, streaming.order(30, 20, how, seed=3))
    assert not np.array_equal(order, streaming.order(30, 20, how, seed=4))
    known = order < 30
    if how == "mixed":
        assert 0 < known[:25].sum() < 25
    else:
        assert known[:30].all() if how == "known-first" else known[20:].all()


def test_values_come_back_in_the_order_of_the_images(world):
    """A score that counts the images it has seen gives each its place in the stream."""

    def start():
        seen = 0

        def score(outputs):
            nonlocal seen
            seen += len(outputs.logits)
            return torch.arange(seen - len(outputs.logits), seen)

        return score

    stream = scorers.Stream(start, 7, "mixed")
    known, unknown = streaming.values(stream, world.outputs(world.z[:30]), world.outputs(world.z[30:50]), seed=1)
    order = streaming.order(30, 20, "mixed", 1)
    assert [order[int(place)] for place in known] == list(range(30))
    assert [order[int(place)] for place in unknown] == list(range(30, 50))


def test_an_image_has_no_value_by_itself(world):
    with pytest.raises(UsageError, match="is a score of a stream"):
        scorers.fit(f"adaneg:words={world.words}", world.context())
    assert not {"adaneg", "tanl", "csp"} & set(scorers.ALL)


@pytest.mark.parametrize("name", ["adaneg", "tanl"])
def test_where_they_do_not_apply(world, name):
    score = world.stream(name).start()
    with pytest.raises(NotApplicableError, match="not scaled cosines"):
        score(Outputs(world.outputs().logits, world.z))
    with pytest.raises(NotApplicableError, match="space of the text features"):
        score(Outputs(world.outputs().logits, torch.ones(len(world.z), 3), world.w))
