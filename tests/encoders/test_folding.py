"""Batch norms in the convolutions before them: the same features, where it is known how a tower is wired."""

import open_clip
import pytest
import torch
from torch import nn

from croftbench.encoders import folding


def tower(name):
    vision = {"timm_model_name": name, "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": "linear"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CustomTextCLIP(
            16, vision | {"image_size": 64}, {"width": 16, "heads": 2, "layers": 1, "vocab_size": 99}
        ).visual
        for norm in (one for one in model.modules() if isinstance(one, nn.BatchNorm2d)):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.bias)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
    return model.eval().requires_grad_(False)


def norms(model):
    return sum(isinstance(one, nn.BatchNorm2d) for one in model.modules())


@pytest.mark.parametrize(("name", "left"), [("tf_efficientnet_lite0", 0), ("resnet18", 0), ("resnet26d", 1)])
def test_folded_towers_encode_the_same(name, left):
    model, pixels = tower(name).double(), torch.rand(3, 3, 64, 64, dtype=torch.float64)
    before, count = model(pixels), norms(model)
    folding.fold(model)
    assert count > 10
    assert norms(model) == left, "resnet26d's first norm stands behind three convolutions of their own module"
    torch.testing.assert_close(model(pixels), before, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["resnetv2_50", "lcnet_035"])
def test_other_towers_are_left_alone(name):
    model = tower(name)
    before = norms(model), [*model.state_dict()]
    folding.fold(model)
    assert (norms(model), [*model.state_dict()]) == before
