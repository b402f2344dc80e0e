"""A small task of features in float64, for methods that see no towers."""

import torch

from croftbench.method import Examples, Task

SCALE = 20.0


def small_task(classes: int = 3, views: int = 2, images: int = 24) -> Task:
    """Images around a centre a class, and texts near these."""
    rng = torch.Generator().manual_seed(5)
    centres = torch.randn(classes, 6, generator=rng).double()
    labels = torch.arange(images) % classes
    x = centres[labels] + 0.8 * torch.randn(views, images, 6, generator=rng).double()
    text = centres + 0.5 * torch.randn(classes, 6, generator=rng).double()
    names = tuple("abcdef"[:classes])
    return Task(names, Examples(3 * x, labels, torch.zeros_like(labels)), None, text, SCALE, seed=1)
