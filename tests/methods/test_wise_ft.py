"""WiSE-FT around the built-in methods: its equations, and how it is named, described and configured."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from croftbench import plugins
from croftbench.errors import UsageError
from croftbench.method import Examples, Method, Needs, Outputs, Predictor, Task
from croftbench.methods.clip_adapter import CLIPAdapter
from croftbench.methods.croft import CRoFT
from croftbench.methods.linear_probe import LinearProbe
from croftbench.methods.task_res import TaskRes
from croftbench.methods.tip_adapter import TipAdapter, TipAdapterF
from croftbench.methods.wise_ft import WiSEFT
from croftbench.methods.zero_shot import ZeroShot
from croftbench.plugins.parameters import Parameter
from croftbench.runs import planning
from croftbench.training import Recipe, unit

SHORT = Recipe(lr=0.05, warmup_lr=0.05, epochs=3, batch=8, weight_decay=0.0)
METHODS = [
    CRoFT(recipe=SHORT),
    CLIPAdapter(recipe=SHORT),
    TaskRes(recipe=SHORT),
    TipAdapter(),
    TipAdapterF(recipe=SHORT),
    LinearProbe(),
    ZeroShot(),
]
EACH = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


@pytest.fixture
def task() -> Task:
    rng = torch.Generator().manual_seed(3)
    text = torch.randn(4, 16, generator=rng).double()
    labels = torch.arange(4).repeat(5)
    views = 2 * (text[labels] + 1.5 * torch.randn(2, 20, 16, generator=rng).double())
    return Task(tuple("abcd"), Examples(views, labels, torch.zeros_like(labels)), None, text, 20.0, seed=1)


@pytest.fixture
def image() -> Tensor:
    return torch.randn(7, 16, generator=torch.Generator().manual_seed(4)).double()


@EACH
def test_the_ends_are_zero_shot_and_the_method(method, task, image):
    fitted, zero_shot = method.fit(task)(image), ZeroShot().fit(task)(image)
    for a, expected in ((0.0, zero_shot), (1.0, fitted)):
        outputs = WiSEFT(method, a).fit(task)(image)
        torch.testing.assert_close(outputs.logits, expected.logits, rtol=0, atol=1e-10)
        torch.testing.assert_close(outputs.features, expected.features, rtol=0, atol=1e-12)


@EACH
def test_between_the_ends_it_is_its_equations(method, task, image, measured):
    a, s = 0.3, 20.0
    fitted, outputs = method.fit(task)(image), WiSEFT(method, a).fit(task)(image)
    expected = torch.zeros(7, 4, dtype=torch.float64)
    for i in range(7):
        z0 = image[i] / image[i].norm()
        z = (1 - a) * z0 + a * fitted.features[i]
        torch.testing.assert_close(outputs.features[i], z / z.norm())
        for c in range(4):
            t0 = task.text[c] / task.text[c].norm()
            if fitted.classes is None:
                expected[i, c] = (1 - a) * s * (z0 @ t0) + a * fitted.logits[i, c]
            else:
                w = (1 - a) * t0 + a * fitted.classes[c]
                expected[i, c] = s * (z @ w) / (z.norm() * w.norm())
    measured("wise-ft", outputs.logits, expected)
    assert (outputs.classes is None) == (fitted.classes is None)
    if outputs.classes is not None:
        torch.testing.assert_close(s * outputs.features @ outputs.classes.T, outputs.logits)


def averaged(raw: Tensor, adapted: Tensor, a: float) -> Tensor:
    """u((1-b) f + b g) at the row's own b, as the top of the method's file says."""
    f, g = (torch.linalg.vector_norm(x, dim=1, keepdim=True) for x in (raw, adapted))
    b = a * f / ((1 - a) * g + a * f)
    return unit((1 - b) * raw + b * adapted)


def test_for_linear_adapters_it_is_weight_averaging_but_for_lengths(task, image):
    a, rng = 0.4, torch.Generator().manual_seed(0)
    W_I, W_T = (torch.eye(16).double() + 0.3 * torch.randn(16, 16, generator=rng).double() for _ in range(2))
    f, e = image @ W_I.T, task.text @ W_T.T

    outputs = WiSEFT(Given(f, e), a).fit(task)(image)
    torch.testing.assert_close(outputs.features, averaged(image, f, a))
    torch.testing.assert_close(outputs.classes, averaged(task.text, e, a))
    # an orthogonal adapter keeps lengths: plain averages of the weights
    Q = torch.linalg.qr(W_I).Q
    outputs = WiSEFT(Given(image @ Q.T, task.text), a).fit(task)(image)
    torch.testing.assert_close(outputs.features, unit(image @ ((1 - a) * torch.eye(16).double() + a * Q).T))


def test_for_clip_adapter_it_is_a_smaller_ratio(task, image):
    f, h, r, a = image, image.abs(), 0.6, 0.3
    g = r * h + (1 - r) * f
    b = a * f.norm(dim=1, keepdim=True) / ((1 - a) * g.norm(dim=1, keepdim=True) + a * f.norm(dim=1, keepdim=True))
    outputs = WiSEFT(Given(g, task.text), a).fit(task)(image)
    torch.testing.assert_close(outputs.features, unit(b * r * h + (1 - b * r) * f))


def test_for_tip_adapter_it_is_a_smaller_alpha(task, image):
    mixed = WiSEFT(TipAdapter(alpha=2.0), 0.25).fit(task)(image)
    torch.testing.assert_close(mixed.logits, TipAdapter(alpha=0.5).fit(task)(image).logits)


@dataclass(frozen=True)
class Given:
    """Answers with the features that it was given; has scores of its own."""

    needs: ClassVar[Needs] = Needs(image="patches")
    version: ClassVar[int] = 1

    f: Tensor
    e: Tensor

    def fit(self, task: Task, /) -> Predictor:
        z, w = unit(self.f), unit(self.e)
        return lambda _: Outputs(task.logit_scale * z @ w.T, z, w, {"own": z[:, 0]})


def test_patches_pass_through_and_scores_do_not(task, image):
    patches = torch.cat([image[:, None], torch.zeros(7, 3, 16)], 1)
    method = Given(image.abs(), task.text)
    wise = WiSEFT(method, 0.5)
    assert wise.needs is method.needs
    assert isinstance(wise, Method)
    outputs = wise.fit(task)(patches)
    assert not outputs.scores
    torch.testing.assert_close(outputs.features, unit(unit(image) + unit(image.abs())))


@pytest.mark.parametrize("a", [-0.1, 1.5])
def test_alpha_outside_its_range_is_an_error(task, a):
    with pytest.raises(UsageError, match=r"not in \[0, 1\]"):
        WiSEFT(ZeroShot(), a).fit(task)


def test_fitting_twice_gives_the_same_bits(task, image):
    one, two = (WiSEFT(CRoFT(recipe=SHORT)).fit(task)(image).logits for _ in range(2))
    assert torch.equal(one, two)


# ------------------------------------------------------------------------------------------ by name

MINE = '''"""A user's own."""
from dataclasses import dataclass
from typing import ClassVar
from croftbench.method import Needs, Outputs

@dataclass(frozen=True)
class Mine:
    needs: ClassVar[Needs] = Needs(text="tower", train=False)
    version: ClassVar[int] = 4
    power: float = 2.0

    def fit(self, task):
        return lambda f: Outputs(f @ task.text.T, f)
'''


@pytest.mark.parametrize("name", sorted(plugins.BUILT_IN))
def test_every_built_in_method_can_be_wrapped(name, cache):
    plain, info = plugins.describe(name, cache), plugins.describe(f"wise-ft+{name}", cache)
    assert plugins.describe(info.name, cache) == info  # from the cache, too
    assert info.name == f"wise-ft+{name}" and info.source == "" and info.version == plain.version
    assert (info.image, info.text, info.train, info.transductive) == (
        plain.image, plain.text, plain.train, plain.transductive,
    )  # fmt: skip
    assert info.params == {**plain.params, "wise_alpha": Parameter(0.5, "float")}
    assert info.summary.startswith("WiSE-FT")
    method = plugins.build(info, info.resolve({"wise_alpha": "0.2"}))
    assert isinstance(method, WiSEFT) and isinstance(method, Method)
    assert method.wise_alpha == 0.2
    assert method.method == plugins.build(plain, plain.resolve())


def test_values_reach_the_method_inside_and_its_recipe(cache, task, image):
    info = plugins.describe("wise-ft+croft", cache)
    method = plugins.build(info, info.resolve({"lambda2": "0.25", "epochs": "2", "wise_alpha": "1"}))
    expected = CRoFT(lambda2=0.25, recipe=Recipe(epochs=2))
    assert method.method == expected
    assert torch.equal(method.fit(task)(image).logits, WiSEFT(expected, 1.0).fit(task)(image).logits)


def test_a_users_method_can_be_wrapped(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    plain, info = (plugins.describe(f"{before}{path}:Mine", tmp_path) for before in ("", "wise-ft+"))
    assert info.name == "wise-ft+Mine"
    assert info.source == plain.source != ""
    assert (info.version, info.text, info.train) == (4, "tower", False)
    assert list(info.params) == ["power", "wise_alpha"]
    assert plugins.build(info, info.resolve({"power": 3})).method.power == 3.0


def test_a_hyper_parameter_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE.replace("power", "wise_alpha"))
    with pytest.raises(UsageError, match="'wise_alpha' of WiSEFT is there twice"):
        plugins.describe(f"wise-ft+{path}:Mine", tmp_path)


def test_it_inherits_the_suites_recipe_of_the_method_inside(cache):
    info = plugins.describe("wise-ft+croft", cache)
    assert info.said_by({"croft": {"lambda2": 0.1}}) == {"lambda2": 0.1}
    both = {"croft": {"lambda2": 0.1, "epochs": 10}, "wise-ft+croft": {"epochs": 5, "wise_alpha": 0.7}}
    assert info.said_by(both) == {"lambda2": 0.1, "epochs": 5, "wise_alpha": 0.7}
    assert plugins.describe("croft", cache).said_by(both) == both["croft"]
    assert plugins.describe("coop", cache).said_by(both) == {}


def test_one_wrapped_method_can_be_set(cache):
    infos = [plugins.describe(name, cache) for name in ("croft", "wise-ft+croft")]
    chosen = planning.overrides(["wise-ft+croft.lambda2=3", "epochs=2", "wise_alpha=0.1"], infos)
    assert chosen == {
        "croft": {"epochs": "2"},
        "wise-ft+croft": {"lambda2": "3", "epochs": "2", "wise_alpha": "0.1"},
    }


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wise-ft", "wise-ft wraps another method. Name it: wise-ft+croft"),
        ("wise-ft+", "wraps another method"),
        ("wise-ft+crotf", "unknown method 'crotf'. Did you mean 'croft'?"),
        ("wise-ft+wise-ft+croft", "unknown method"),
        ("wise-fd+croft", "unknown method"),
        ("wise-ft+nowhere.py:Mine", "there is no file nowhere.py"),
    ],
)
def test_a_wrapped_method_that_is_not_there(tmp_path, name, says):
    with pytest.raises(UsageError) as caught:
        plugins.describe(name, tmp_path)
    assert says in str(caught.value)


def test_known_names():
    assert plugins.is_registered("croft") and plugins.is_registered("wise-ft+croft")
    assert not any(plugins.is_registered(name) for name in ("wise-ft", "wise-ft+Mine", "Mine", "other+croft"))


def test_without_gradients_or_changes_to_what_it_is_given(task, image):
    before = [x.clone() for x in (task.train.views, task.text, image)]
    outputs = WiSEFT(TaskRes(recipe=SHORT)).fit(task)(image)
    assert not outputs.logits.requires_grad
    assert all(torch.equal(x, y) for x, y in zip(before, (task.train.views, task.text, image), strict=True))
