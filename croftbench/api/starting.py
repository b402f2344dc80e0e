"""A first file of one's own: a method, or a score, that works and is to be changed."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path

from croftbench.errors import UsageError
from croftbench.files import write_atomically
from croftbench.plugins import is_registered

METHOD = '''"""TITLE: say in one line what it does.

This is training-free Tip-Adapter (ECCV 2022, arXiv 2207.09519): every training image votes for its class. Change it.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import one_hot

from croftbench.method import Needs, Outputs
from croftbench.training import unit


@dataclass(frozen=True)
class CLASS:
    """Hyper-parameters; every field is one, and is recorded with a run.

    Attributes:
        alpha: weight of the votes beside zero-shot CLIP.
        beta: how near an image must be to count.
    """

    needs: ClassVar[Needs] = Needs()  # cached image features and text embeddings
    ranges: ClassVar = {"alpha": ">= 0", "beta": "> 0"}
    alpha: float = 3.0
    beta: float = 5.5

    def fit(self, task):
        keys = unit(task.train.views.mean(0))  # (N, D), the mean of each training image's views
        values = one_hot(task.train.labels, len(task.classnames)).float()  # (N, C)
        text = unit(task.text)  # (C, D)

        def predict(f):  # (B, D) raw features -> (B, C) logits and (B, D) unit features
            z = unit(f)
            votes = (-self.beta * (1 - z @ keys.T)).exp() @ values
            return Outputs(task.logit_scale * z @ text.T + self.alpha * votes, z)

        return predict
'''


@dataclass(frozen=True)
class Started:
    """A file that was written, and what to do next: commands, in order."""

    path: Path
    commands: tuple[str, ...]


def new_method(name: str, folder: str | Path = ".") -> Started:
    """Write a method that runs, under 40 lines.

    Args:
        name: what it is to be called: "my-method" is class MyMethod in my_method.py.
        folder: where.

    Raises:
        UsageError: a name that no file or class can have, that a method has already, or a file that is there.
    """
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name))
    module, cls = "_".join(words).lower(), "".join(word[0].upper() + word[1:] for word in words)
    if not re.fullmatch(r"[A-Za-z][\w -]*", name) or keyword.iskeyword(module) or keyword.iskeyword(cls):
        raise UsageError(f"'{name}' cannot name a method.", "Use letters, digits and -, as in my-method.")
    if is_registered(name.lower()) or is_registered(cls):
        raise UsageError(f"there is a method '{name}' already.", "Choose another name, as in my-" + name.lower() + ".")
    path = Path(folder) / f"{module}.py"
    if path.exists():
        raise UsageError(f"{path} is there already.", "Choose another name, or --folder.")
    write_atomically(path, METHOD.replace("TITLE", " ".join(words)).replace("CLASS", cls), "--folder")
    shown = f"{path}" if path.is_absolute() or path.parent != Path() else f"./{path}"
    target = f"'{shown}:{cls}'" if re.search(r"[^\w./-]", shown) else f"{shown}:{cls}"
    return Started(
        path,
        (
            f"croftbench check {target}",
            f"croftbench run --method zero-shot,{target}",
            f"croftbench compare {cls} zero-shot",
        ),
    )
