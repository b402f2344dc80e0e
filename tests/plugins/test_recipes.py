"""Named recipes: what each method's authors published, what the suites of the field set, and who decides."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from croftbench import plugins
from croftbench.errors import UsageError
from croftbench.method import Needs, later
from croftbench.plugins.recipes import at_shots
from croftbench.runs.planning import hyperparameters
from croftbench.suites import manifest
from croftbench.training import Recipe


def params(suite, method, cache, recipe=None, shots=None, **overrides):
    """What a run of a built-in method on a shipped suite records, with the defaults that it does not record."""
    info, chosen = plugins.describe(method, cache), manifest.suite(suite)
    used, recorded = hyperparameters(chosen, info, shots or chosen.protocol.shots, recipe, overrides)
    return used, {name: parameter.default for name, parameter in info.params.items()} | recorded


def of(values, expected):
    return {name: values[name] for name in expected}


@pytest.mark.parametrize(
    ("method", "shots", "expected"),
    [
        ("coop", 1, {"epochs": 50, "weight_decay": 5e-4, "lr": 0.002, "batch": 32, "n_ctx": 16, "words": ""}),
        ("coop", 4, {"epochs": 100}),
        ("coop", 16, {"epochs": 200}),
        ("cocoop", 16, {"epochs": 10, "batch": 1, "words": "a photo of a", "weight_decay": 5e-4, "lr": 0.002}),
        ("kgcoop", 16, {"epochs": 100, "batch": 128, "words": "a photo of a", "weight": 8.0, "weight_decay": 5e-4}),
        ("negprompt", 16, {"epochs": 100, "lr": 0.1, "batch": 64, "negatives": 2, "distance": 0.1, "spread": 0.05}),
        ("decoop", 16, {"epochs": 100, "detector_epochs": 50, "lr": 0.002, "batch": 32, "K": 3, "margin": 0.4}),
        ("prograd", 8, {"epochs": 200, "batch": 32, "n_ctx": 16, "projection": 1.0, "from_template": True}),
        ("locoop", 16, {"epochs": 50, "lambda_ood": 0.25, "top": 0.2, "n_ctx": 16, "weight_decay": 5e-4}),
        (
            "gallop",
            16,
            {"epochs": 200, "batch": 32, "lr": 0.002, "weight_decay": 0.01, "n_global": 4, "n_local": 4, "k": 5,
             "dropout": 0.75},
        ),
        (
            "local-prompt",
            16,
            {"epochs": 30, "batch": 256, "n_ctx": 16, "negatives": 300, "crops": 16, "positives": 8, "k": 50,
             "k_test": 10, "lambda_neg": 5.0, "div": 0.5},
        ),
        ("clip-adapter", 16, {"epochs": 50, "weight_decay": 5e-4, "lr": 0.002, "ratio": 0.2}),
        ("task-res", 4, {"epochs": 100, "lr": 0.002, "batch": 256, "optimiser": "adam", "base": "raw", "alpha": 0.5}),
        ("task-res", 16, {"epochs": 200, "beta2": 0.999, "eps": 1e-8, "weight_decay": 5e-4}),
        ("tip-adapter", 16, {"search": True, "alpha": 1.17, "beta": 1.0, "max_alpha": 3.0, "max_beta": 7.0}),
        (
            "tip-adapter-f",
            16,
            {"optimiser": "adamw", "eps": 1e-4, "lr": 0.001, "epochs": 20, "batch": 256, "schedule": "step",
             "warmup": 0, "weight_decay": 0.01, "search": True, "keep_last": True},
        ),
        ("dplclip", 16, {"lr": 0.001, "momentum": 0.1, "weight_decay": 0.0, "schedule": "constant", "warmup": 0}),
        ("bayes-cal", 16, {"weight_decay": 5e-4, "words": "a photo of a", "epochs": 30}),
        ("linear-probe", 16, {"sweep": True}),
        ("wise-ft+coop", 16, {"wise_alpha": 0.5, "epochs": 200}),
        ("croft", 16, {"lambda1": 1.0, "lambda2": 5.0, "gen_steps": 1, "edr_reduction": "sum", "weight_decay": 0.1}),
    ],
)  # fmt: skip
def test_the_authors_recipe_is_what_they_published(method, shots, expected, cache):
    used, values = params("emoji-open", method, cache, "authors", shots)
    assert of(values, expected) == expected
    assert used in ("authors", "croft-comparison"), "the latter where both are one"


@pytest.mark.parametrize("suite", ["setup2-pacs", "setup2-pacs-official"])
@pytest.mark.parametrize("recipe", [None, "authors"])
def test_croft_on_pacs_is_the_branch_that_its_scripts_run_there(suite, recipe, cache):
    _, values = params(suite, "croft", cache, recipe)
    expected = {"edr_reduction": "mean", "edr_worst_case": True, "lambda1": 15.0, "lambda2": 1000.0, "gen_steps": 1}
    assert of(values, expected) == expected


@pytest.mark.parametrize("suite", ["setup2-vlcs", "setup2-vlcs-official"])
@pytest.mark.parametrize("recipe", [None, "authors"])
def test_croft_on_vlcs_counts_no_worst_case_and_takes_five_generator_steps(suite, recipe, cache):
    _, values = params(suite, "croft", cache, recipe)
    expected = {"edr_reduction": "mean", "edr_worst_case": False, "lambda1": 15.0, "lambda2": 1000.0, "gen_steps": 5}
    assert of(values, expected) == expected


@pytest.mark.parametrize("suite", ["setup1", "setup1-official"])
@pytest.mark.parametrize(("shots", "steps"), [(1, 10), (16, 1), (32, 1)])
@pytest.mark.parametrize("recipe", [None, "authors"])
def test_croft_on_setup_one_takes_ten_generator_steps_for_one_shot(suite, shots, steps, recipe, cache):
    _, values = params(suite, "croft", cache, recipe, shots)
    assert (values["gen_steps"], values["edr_reduction"], values["ratio"]) == (steps, "sum", 0.2)


@pytest.mark.parametrize(
    ("suite", "method", "expected"),
    [
        ("setup2-vlcs", "tip-adapter-f", {"alpha": 1.0, "beta": 10.0, "epochs": 50, "optimiser": "sgd"}),
        ("setup1", "coop", {"epochs": 30, "weight_decay": 0.1}),
        ("imagenet-mcm", "coop", {"epochs": 50, "weight_decay": 5e-4, "words": ""}),
        ("imagenet-mcm", "task-res", {"epochs": 200, "lr": 0.0002}),
        ("imagenet-mcm", "gallop", {"epochs": 50, "batch": 128, "warmup": 0}),
        ("coop-base-to-new", "coop", {"epochs": 200, "words": "a photo of a"}),
        ("coop-base-to-new", "cocoop", {"epochs": 10, "batch": 1, "words": "a photo of a"}),
    ],
)
def test_a_suite_runs_its_own_recipe(suite, method, expected, cache):
    used, values = params(suite, method, cache)
    assert used == manifest.suite(suite).recipe
    assert of(values, expected) == expected


def test_what_a_suite_sets_goes_with_its_own_recipe_alone(cache):
    assert params("emoji-open", "croft", cache)[1]["lambda2"] == 0.1
    assert params("emoji-open", "croft", cache, "croft-comparison")[1]["lambda2"] == 0.1
    used, values = params("emoji-open", "coop", cache, "authors")
    assert (used, values["words"], values["epochs"]) == ("authors", "", 100)
    assert params("emoji-open", "coop", cache, "authors", epochs="7")[1]["epochs"] == 7, "--set goes last"
    assert params("setup1", "coop", cache, "authors")[1]["epochs"] == 50, "what its authors set for ImageNet"


def test_two_names_of_one_configuration_are_one(cache):
    assert params("emoji-open", "zero-shot", cache, "authors")[0] == "croft-comparison"


def test_a_later_hyperparameter_is_recorded_only_where_it_is_set(cache):
    info = plugins.describe("tip-adapter-f", cache)
    assert "optimiser" not in info.resolve()
    assert "optimiser" not in info.resolve({"optimiser": "sgd"})
    assert info.resolve({"optimiser": "adam"})["optimiser"] == "adam"
    assert plugins.build(info, info.resolve()).recipe == Recipe(lr=0.001, epochs=50)
    assert plugins.build(plugins.describe("task-res", cache), {"alpha": 1.0, **_task_res()}).recipe.optimiser == "adam"


def _task_res():
    return {"lr": 0.1, "epochs": 1, "batch": 2, "momentum": 0.9, "weight_decay": 0.0, "warmup_lr": 0.1}


@dataclass(frozen=True)
class Plain:
    needs: ClassVar[Needs] = Needs()
    steps: int = 3
    extra: float = later(0.5)
    recipe: Recipe = field(default_factory=Recipe)

    def fit(self, task):
        """Never called here."""


@dataclass(frozen=True)
class Named(Plain):
    recipes: ClassVar = {"mine": {"steps": {2: 5, 8: 9}}, "authors": {"extra": 1.0}}


def test_a_users_method_may_name_recipes_and_needs_none(cache):
    suite, plain, named = manifest.suite("emoji-open"), plugins.describe(Plain, cache), plugins.describe(Named, cache)
    assert hyperparameters(suite, plain, 3)[1]["steps"] == 3
    assert hyperparameters(suite, named, 3)[0] == "", "the suite's own is none of its own"
    used = [hyperparameters(suite, named, shots, "mine")[1]["steps"] for shots in (1, 2, 7, 8, 16)]
    assert used == [5, 5, 5, 9, 9]
    with pytest.raises(UsageError, match="Plain has no recipe 'authors'") as told:
        hyperparameters(suite, plain, 3, "authors")
    assert "without --recipe" in told.value.hint
    with pytest.raises(UsageError, match="Named has no recipe 'yours'") as told:
        hyperparameters(suite, named, 3, "yours")
    assert "mine, authors" in told.value.hint
    with pytest.raises(UsageError, match="no recipe"):
        hyperparameters(suite, plugins.describe(Named(steps=4), cache), 3, "mine")


@pytest.mark.parametrize("by", [{}, {"few": 1}, {"-1": 2}, {"08": 2}])
def test_values_by_anything_but_numbers_of_shots_are_one_clear_line(by):
    with pytest.raises(UsageError, match="epochs has values by"):
        at_shots({"epochs": by}, 3)


def test_recipes_of_another_form_say_how_to_write_them(cache):
    wrong = dataclass(frozen=True)(type("Wrong", (Plain,), {"recipes": {"authors": 3}}))
    with pytest.raises(UsageError, match="recipes of Wrong") as told:
        plugins.describe(wrong, cache)
    assert "authors" in told.value.hint
