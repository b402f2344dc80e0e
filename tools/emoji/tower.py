"""timm's EfficientNet-Lite for training on few cores: batch norms folded into convolutions, chunks side by side."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from timm.layers import pad_same
from torch import Tensor, nn

NETWORK = "tf_efficientnet_lite0"
LOW = 3
"""Stages, after the stem, whose weights are never trained: half the time of a step, and edges are edges."""
CHUNK = 32
"""Images that a thread takes at once: what fits a core's cache."""


def teacher(path: Path, model) -> nn.Module:
    """ImageNet's network, its classifier included; its trunk is also copied into the model's image tower.

    The file's tensors stand in timm's order under other names.
    """
    network = timm.create_model(NETWORK)
    own = network.state_dict()
    published = torch.load(path, map_location="cpu", weights_only=True)
    values = zip(own.items(), published.values(), strict=True)
    assert all(mine.shape == theirs.shape for (_, mine), theirs in values)
    network.load_state_dict(dict(zip(own, published.values(), strict=True)))
    trunk = {k: v for k, v in network.state_dict().items() if not k.startswith("classifier")}
    model.visual.trunk.load_state_dict(copy.deepcopy(trunk))
    return network.eval().requires_grad_(False)


class Tower:
    """A trunk without its classifier, as convolutions with biases."""

    def __init__(self, trunk: nn.Module, threads: int) -> None:
        trunk.eval().to(memory_format=torch.channels_last)
        self.pool = ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1))
        layers = [("plain", [(trunk.conv_stem, trunk.bn1)], False, 0)]
        for stage, blocks in enumerate(trunk.blocks):
            for block in blocks:
                if hasattr(block, "conv_pwl"):
                    convs = [(block.conv_pw, block.bn1), (block.conv_dw, block.bn2), (block.conv_pwl, block.bn3)]
                else:
                    convs = [(block.conv_dw, block.bn1), (block.conv_pw, block.bn2)]
                layers.append(("block", convs, block.has_skip, stage + 1))
        layers.append(("plain", [(trunk.conv_head, trunk.bn2)], False, len(trunk.blocks) + 1))
        self.layers = layers
        self.cut = sum(depth <= LOW for *_, depth in layers)
        with torch.no_grad():
            self.low = [(w.detach(), b.detach()) for w, b in self.folded(layers[: self.cut])]

    def trained(self) -> list[nn.Parameter]:
        """Parameters above the frozen stages."""
        return [p for _, convs, _, _ in self.layers[self.cut :] for c, b in convs for p in (c.weight, b.weight, b.bias)]

    @staticmethod
    def folded(layers) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each convolution with the batch norm that follows it."""
        out = []
        for _, convs, _, _ in layers:
            for conv, norm in convs:
                scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
                out.append((conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale))
        return out

    @staticmethod
    def run(layers, weights, x: Tensor) -> Tensor:
        at = iter(weights)
        for kind, convs, skip, _ in layers:
            inside = x
            for i, (conv, _) in enumerate(convs):
                w, b = next(at)
                padding = conv.padding
                if conv.stride[0] > 1:
                    inside, padding = pad_same(inside, conv.kernel_size, conv.stride), 0
                inside = F.conv2d(inside, w, b, conv.stride, padding, 1, conv.groups)
                if kind == "plain" or i < len(convs) - 1:
                    inside = F.relu6(inside, inplace=True)
            x = inside + x if skip else inside
        return x

    def below(self, x: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            return self.run(self.layers[: self.cut], self.low, x.contiguous(memory_format=torch.channels_last))

    def features(self, images: Tensor) -> Tensor:
        """(N, 1280) pooled features without gradients, in bfloat16 inside."""
        with torch.no_grad():
            high = self.folded(self.layers[self.cut :])

        def one(chunk: Tensor) -> Tensor:
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                return self.run(self.layers[self.cut :], high, self.below(chunk)).float().mean((2, 3))

        return torch.cat(list(self.pool.map(one, images.split(CHUNK))))

    def begin(self, images: Tensor) -> Run:
        return Run(self, images)


class Run:
    """One forward pass in chunks, whose graphs are kept; `backward` once `features` has its gradient."""

    def __init__(self, tower: Tower, images: Tensor) -> None:
        self.tower = tower
        self.folded = [x for pair in tower.folded(tower.layers[tower.cut :]) for x in pair]
        self.leaves = [x.detach().requires_grad_() for x in self.folded]
        weights = list(zip(self.leaves[::2], self.leaves[1::2], strict=True))

        def one(chunk: Tensor) -> Tensor:
            x = tower.below(chunk).float()
            with torch.enable_grad():
                return tower.run(tower.layers[tower.cut :], weights, x).mean((2, 3))

        self.chunks = list(tower.pool.map(one, images.split(CHUNK)))
        self.features = torch.cat([x.detach() for x in self.chunks]).requires_grad_()

    def backward(self) -> None:
        """Gradients of the trunk's parameters from that of `features`."""
        grads = self.features.grad.split([len(x) for x in self.chunks])
        parts = self.tower.pool.map(lambda x, g: torch.autograd.grad(x, self.leaves, g), self.chunks, grads)
        total = [torch.stack(x).sum(0) if len(x) > 1 else x[0] for x in zip(*parts, strict=True)]
        torch.autograd.backward(self.folded, total)
