"""Zero-shot CLIP against the recorded baseline."""

import pytest
import torch

from croftbench.method import Examples, Task
from croftbench.methods.zero_shot import ZeroShot


def task(text: torch.Tensor, logit_scale: float) -> Task:
    d = text.shape[1]
    train = Examples(torch.ones(1, 1, d, dtype=text.dtype), torch.zeros(1, dtype=torch.long), torch.zeros(1))
    names = tuple(f"class {c}" for c in range(len(text)))
    return Task(names, train, None, text, logit_scale, seed=1)


@pytest.mark.parametrize("name", ["zeroshot_single", "zeroshot_ensemble"])
def test_logits_features_and_energy_are_those_recorded(name, oracle, close, measured):
    ref = oracle(name)
    predict = ZeroShot().fit(task(torch.from_numpy(ref["text_features"]), 100.0))
    outputs = predict(torch.from_numpy(ref["image"]))
    measured("zero-shot", outputs.logits, torch.from_numpy(ref["logits"]))
    close(outputs.features, ref["z"])
    close(outputs.logits.logsumexp(1), ref["energy"])


def test_lengths_of_images_and_texts_do_not_matter():
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    images = torch.randn(8, 12, generator=generator, dtype=torch.float64)
    plain = ZeroShot().fit(task(text, 100.0))(images)
    scaled = ZeroShot().fit(task(3.0 * text, 100.0))(7.0 * images)
    torch.testing.assert_close(scaled.logits, plain.logits)
    torch.testing.assert_close(plain.features.norm(dim=1), torch.ones(8, dtype=torch.float64))
