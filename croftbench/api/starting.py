"""A first file of one's own: a method, a score or a suite that works and is to be changed."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from croftbench.errors import UsageError
from croftbench.files import write_atomically
from croftbench.plugins import is_registered
from croftbench.scorers import SCORERS
from croftbench.suites import manifest

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

SCORER = '''"""TITLE: say in one line what it does.

This is a k-nearest-neighbour score (Sun et al., ICML 2022): how near the few training images are. Change it.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class CLASS:
    """Parameters; every field is one, as in CLASS:k=5, and is recorded with the scores.

    Attributes:
        k: neighbours that count.
    """

    uses: ClassVar = ("train",)  # of "train" images, "classes" (class features), "text" (the text tower)
    k: int = 3

    def fit(self, context):
        bank = context.outputs.features  # (N, D) unit features of the training images
        k = min(self.k, len(bank))

        def score(outputs):  # (B, C) outputs.logits and (B, D) unit outputs.features -> (B,), higher = known
            cosines = outputs.features @ bank.T  # (B, N)
            return cosines.topk(k, dim=1).values.mean(1)

        return score
'''

SUITE = """# A suite over images that ship: food known in two drawings, half of it never named. Change it.
# Over images of your own: croftbench data new FOLDER.
name = "NAME"
version = 1  # raise it when you change what is evaluated
title = "Half of the food is known"
templates = ["a {}.", "an emoji of a {}."]

[classes]
by = "name"
groups = ["Food & Drink"]
draw = "random"  # each seed draws the known classes anew
known = 0.5

[protocol]
shots = 2
seeds = [1, 2, 3]
views = 4
crop_scale = [0.6, 1.0]
flip = true
scorers = ["energy", "msp", "mcm", "max_logit"]
headline = "energy"

[[folds]]
name = "all"
train = ["emoji/noto", "emoji/emojione"]
id = ["emoji/twemoji"]
covariate = { shaded = "emoji/fluent-emoji", "line art" = "emoji/fluent-emoji-high-contrast" }

[[semantic]]  # the other food
name = "near"
source = "unknown-classes"
level = "near"

[[semantic]]
name = "digits"
source = "splits"
level = "far"
splits = ["digits"]
"""


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
    path, cls, target = _written("method", name, folder, METHOD, is_registered)
    return Started(
        path,
        (
            f"croftbench check {target}",
            f"croftbench run --method zero-shot,{target}",
            f"croftbench compare {cls} zero-shot",
        ),
    )


def new_scorer(name: str, folder: str | Path = ".") -> Started:
    """Write a detection score that works, under 40 lines.

    Args:
        name: what it is to be called: "my-score" is class MyScore in my_score.py.
        folder: where.

    Raises:
        UsageError: as `new_method`.
    """
    path, _, target = _written("scorer", name, folder, SCORER, SCORERS.__contains__)
    return Started(
        path,
        (
            f"croftbench check {target}",
            f"croftbench run --method zero-shot,tip-adapter --scorers {target}",
            f"croftbench run --method zero-shot,tip-adapter --scorers {target}:k=1",
        ),
    )


def new_suite_file(name: str, folder: str | Path = ".") -> Started:
    """Write a suite over images that ship, under 40 lines; `new_suite` writes one over images of your own.

    Args:
        name: of the suite, and of its file.
        folder: where.

    Raises:
        UsageError: as `new_method`.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise UsageError(f"'{name}' cannot name a suite.", "Use letters, digits and -, as in my-suite.")
    if name in manifest.names("suites"):
        raise UsageError(
            f"there is a suite '{name}' already.", f"Choose another name: `croftbench new suite my-{name}`"
        )
    path = Path(folder) / f"{name}.toml"
    if path.exists():
        raise UsageError(f"{path} is there already.", "Choose another name, or --folder.")
    write_atomically(path, SUITE.replace("NAME", name), "--folder")
    shown = shlex.quote(str(path))
    return Started(
        path,
        (
            f"croftbench data describe {shown}",
            f"croftbench run --method zero-shot,tip-adapter --suite {shown}",
            f"croftbench compare tip-adapter zero-shot --suite {shown}",
        ),
    )


def _written(
    kind: str, name: str, folder: str | Path, text: str, taken: Callable[[str], bool]
) -> tuple[Path, str, str]:
    """The file, its class, and both as one types them."""
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name))
    module, cls = "_".join(words).lower(), "".join(word[0].upper() + word[1:] for word in words)
    if not re.fullmatch(r"[A-Za-z][\w -]*", name) or keyword.iskeyword(module) or keyword.iskeyword(cls):
        raise UsageError(f"'{name}' cannot name a {kind}.", f"Use letters, digits and -, as in my-{kind}.")
    if taken(name.lower()) or taken(cls):
        raise UsageError(
            f"there is a {kind} '{name}' already.", f"Choose another name: `croftbench new {kind} my-{name.lower()}`"
        )
    path = Path(folder) / f"{module}.py"
    if path.exists():
        raise UsageError(f"{path} is there already.", "Choose another name, or --folder.")
    write_atomically(path, text.replace("TITLE", " ".join(words)).replace("CLASS", cls), "--folder")
    shown = f"{path}" if path.is_absolute() or path.parent != Path() else f"./{path}"
    return path, cls, f"'{shown}:{cls}'" if re.search(r"[^\w./-]", shown) else f"{shown}:{cls}"
