"""Finding methods and typing their hyper-parameters, as a user meets them."""

import re
import subprocess
import sys

import pytest

from croftbench import plugins
from croftbench.errors import UsageError

MINE = '''"""Nearest class mean: a user's own method."""
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch

from croftbench.method import Needs, Outputs
from croftbench.training import Recipe


@dataclass(frozen=True)
class Mine:
    needs: ClassVar[Needs] = Needs()
    temperature: float = 1.0
    power: int = 1
    mode: Literal["plain", "fancy"] = "plain"
    centred: bool = False
    recipe: Recipe = field(default_factory=lambda: Recipe(lr=0.5))

    def fit(self, task):
        x, y = task.train.views[0], task.train.labels
        means = torch.stack([x[y == c].mean(0) for c in range(len(task.classnames))])
        def predict(features):
            z = features / features.norm(dim=-1, keepdim=True)
            return Outputs(task.logit_scale * z @ means.T / self.temperature, z)
        return predict
'''


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_users_file_is_described_with_nested_defaults(mine, tmp_path):
    info = plugins.describe(f"{mine}:Mine", tmp_path)
    assert info.name == "Mine"
    assert info.source
    assert info.params["lr"].default == 0.5
    assert info.params["mode"].choices == ("plain", "fancy")
    assert info.summary == "Nearest class mean: a user's own method."


def test_a_file_from_windows_is_described_too(mine, tmp_path):
    mine.write_bytes(b"\xef\xbb\xbf" + MINE.replace("\n", "\r\n").encode())
    assert plugins.describe(f"{mine}:Mine", tmp_path).params["lr"].default == 0.5
    assert plugins.needs(f"{mine}:Mine") == "features"


def test_overrides_are_typed_and_reach_nested_fields(mine, tmp_path):
    info = plugins.describe(f"{mine}:Mine", tmp_path)
    params = info.resolve({"power": "3", "centred": "TRUE", "epochs": "7", "temperature": "2", "mode": "fancy"})
    method = plugins.build(info, params)
    assert (method.power, method.centred, method.recipe.epochs, method.temperature) == (3, True, 7, 2.0)
    assert isinstance(params["temperature"], float)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("pwoer", "3", "Did you mean 'power'"),
        ("power", "3.5", "is of type int"),
        ("temperature", "hot", "is of type float"),
        ("temperature", "nan", "is of type float"),
        ("centred", "maybe", "is of type bool"),
        ("mode", "fnacy", "Did you mean 'fancy'"),
    ],
)
def test_a_wrong_override_says_what_is_expected(mine, tmp_path, name, value, says):
    info = plugins.describe(f"{mine}:Mine", tmp_path)
    with pytest.raises(UsageError) as caught:
        info.resolve({name: value})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_editing_the_file_changes_the_source_digest(mine, tmp_path):
    before = plugins.describe(f"{mine}:Mine", tmp_path)
    mine.write_text(MINE.replace("temperature: float = 1.0", "temperature: float = 4.0"))
    after = plugins.describe(f"{mine}:Mine", tmp_path)
    assert before.source != after.source
    assert after.params["temperature"].default == 4.0


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("crotf", "Did you mean 'croft'"),
        ("nowhere.py:Mine", "there is no file nowhere.py"),
        ("{mine}:Mien", "Did you mean 'Mine'"),
        ("{mine}:torch", "is not a method"),
    ],
)
def test_a_method_that_is_not_there(mine, tmp_path, target, says):
    with pytest.raises(UsageError) as caught:
        plugins.describe(target.format(mine=mine), tmp_path)
    assert says in str(caught.value)


def test_a_file_that_raises_is_one_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_that_name\n")
    with pytest.raises(UsageError, match="ModuleNotFoundError"):
        plugins.describe(f"{path}:Mine", tmp_path)


def test_a_described_method_needs_no_torch_the_second_time(tmp_path):
    """What lets a finished run answer at once."""
    plugins.describe("croft", tmp_path)
    code = (
        "import sys; from pathlib import Path; from croftbench import plugins; "
        "info = plugins.describe('croft', Path(sys.argv[1])); "
        "print(info.params['lambda1'].default, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", "False"]


def test_a_users_ranges_are_kept(mine, tmp_path):
    """Those of a nested recipe too; and from the cache as from the class."""
    ranges = '    ranges: ClassVar = {"temperature": "> 0", "power": ">= 1, < 4"}\n    temperature'
    mine.write_text(MINE.replace("    temperature", ranges, 1))
    for _ in range(2):
        info = plugins.describe(f"{mine}:Mine", tmp_path)
        assert info.resolve({"power": "3", "temperature": "0.1"})["power"] == 3
        for name, value, says in (
            ("temperature", "0", "Mine's temperature must be > 0, not 0.0. Its default is 1.0."),
            ("power", "4", "Mine's power must be >= 1, < 4, not 4."),
            ("lr", "-0.1", "Mine's lr must be > 0, not -0.1."),
        ):
            with pytest.raises(UsageError, match=re.escape(says)):
                info.resolve({name: value})


def test_a_range_that_says_nothing_is_told(mine, tmp_path):
    mine.write_text(MINE.replace("    temperature", '    ranges: ClassVar = {"power": "positive"}\n    temperature', 1))
    with pytest.raises(UsageError, match="'power' of Mine, 'positive', says nothing"):
        plugins.describe(f"{mine}:Mine", tmp_path)
