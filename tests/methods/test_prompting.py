"""What methods with learned prompts share: where a context starts, and what it becomes before class names."""

from collections.abc import Callable
from typing import Any

import torch

from croftbench.method import Task
from croftbench.prompting import Prompts, class_text, initial_context


def test_a_context_starts_as_words_or_at_random(tiny: Any, tiny_task: Callable[..., Task]) -> None:
    rng = tiny_task().generator()
    assert torch.equal(initial_context(tiny.tower, (9, 32), rng, "a photo of a"), tiny.embed("a photo of a")[1:5])
    v = initial_context(tiny.tower, (9, 32), rng)
    assert v.shape == (9, 32)
    assert 0.015 < v.std() < 0.025


def test_several_contexts_at_once_are_each_alone(tiny: Any) -> None:
    prompts = Prompts(tiny.tower, ("dog", "hot_dog"))
    v = torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = prompts.features(v)
    assert together.shape == (3, 2, 16)
    for one, context in zip(together, v, strict=True):
        torch.testing.assert_close(one, prompts.features(context))


def test_one_template_gives_raw_features_and_several_their_unit_mean() -> None:
    features = {"a hot dog": [3.0, 4.0], "the hot dog": [0.0, 2.0], "a owl": [1.0, 0.0], "the owl": [0.0, 5.0]}

    def encode(prompts: Any) -> torch.Tensor:
        return torch.tensor([features[prompt] for prompt in prompts], dtype=torch.float64)

    names = ("hot_dog", "owl")
    assert class_text(encode, names, ["a {}"]).tolist() == [[3.0, 4.0], [1.0, 0.0]]
    expected = torch.tensor([[0.6, 1.8], [1.0, 1.0]], dtype=torch.float64)
    expected /= expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(class_text(encode, names, ["a {}", "the {}"]), expected)
