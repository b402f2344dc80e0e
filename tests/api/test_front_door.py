"""croftbench as a library: a class in a notebook gets a table, and importing croftbench costs nothing."""

import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import croftbench
from croftbench.errors import CroftbenchError, DataError, UsageError
from croftbench.method import Needs, Outputs
from croftbench.methods.zero_shot import ZeroShot
from croftbench.runs import results
from croftbench.training import Recipe


@dataclass(frozen=True)
class Mine:
    """Zero-shot with another temperature."""

    needs: ClassVar[Needs] = Needs(train=False)
    alpha: float = 1.0
    recipe: Recipe = field(default_factory=Recipe)

    def fit(self, task):
        w = torch.nn.functional.normalize(task.text, dim=-1)

        def predict(f):
            z = torch.nn.functional.normalize(f, dim=-1)
            return Outputs(self.alpha * z @ w.T, z)

        return predict


@dataclass(frozen=True)
class Broken:
    """Raises what a user's method may raise."""

    needs: ClassVar[Needs] = Needs(train=False)

    def fit(self, task):
        raise DataError("no luck.", "Try again.")


@pytest.fixture
def folders(cache, tmp_path):
    return {"results": tmp_path / "results", "cache": cache}


def test_objects_classes_and_names_share_a_table(folders, suite_file):
    board = croftbench.run(["zero-shot", Mine(alpha=3), Mine], suite_file, seeds=[1], **folders)
    assert set(board.wide["method"]) == {"zero-shot", "Mine, alpha=3", "Mine, alpha=1"}
    assert len(board.runs) == 3
    alphas = {run.spec.params["alpha"] for run in board.runs if run.spec.method == "Mine"}
    assert alphas == {1.0, 3.0}
    assert all(run.spec.source for run in board.runs if run.spec.method == "Mine")
    mine = board.table[board.table["method"] == "Mine, alpha=3"].set_index(["metric", "split"])["value"]
    theirs = board.table[board.table["method"] == "zero-shot"].set_index(["metric", "split"])["value"]
    assert mine["accuracy", "id"] == theirs["accuracy", "id"]  # a temperature changes no answer
    assert "<table" in board._repr_html_()
    assert board.to_markdown().startswith("# food")


def test_a_class_and_its_file_are_one_method(folders, suite_file, tmp_path):
    """The table of `--method file.py:Class` and that of the imported class hold the same runs."""
    by_class = croftbench.run(Mine, suite_file, seeds=[1], **folders)
    by_file = croftbench.run(f"{__file__}:Mine", suite_file, seeds=[1], **folders)
    assert [run.spec.run_id for run in by_class.runs] == [run.spec.run_id for run in by_file.runs]


def test_a_built_in_class_is_the_built_in_method(folders, suite_file):
    board = croftbench.run(ZeroShot, suite_file, seeds=[1], **folders)
    assert [(run.spec.method, run.spec.source) for run in board.runs] == [("zero-shot", "")]


def test_an_objects_values_are_its_own_whatever_the_suites_recipe(folders, suite_file):
    """food.toml has a recipe for croft: lambda2 = 0.001, epochs = 3."""
    from croftbench.methods.croft import CRoFT

    board = croftbench.run(CRoFT(lambda2=0.5, recipe=Recipe(epochs=1)), suite_file, seeds=[1], **folders)
    assert (board.runs[0].spec.params["lambda2"], board.runs[0].spec.params["epochs"]) == (0.5, 1)


def test_what_failed_is_raised_after_the_others_are_done(folders, suite_file):
    with pytest.raises(CroftbenchError, match=r"1 run\(s\) failed") as caught:
        croftbench.run([Broken(), "zero-shot"], suite_file, seeds=[1], **folders)
    ((job, error),) = caught.value.failures
    assert job.spec.method == "Broken"
    assert error.message.startswith("no luck, at ") and "test_front_door.py:" in error.message
    assert error.hint == "Try again."
    assert list(caught.value.leaderboard.wide["method"]) == ["zero-shot"]


def test_a_method_that_cannot_be_recorded_is_refused(folders, suite_file):
    @dataclass(frozen=True)
    class WithTensor:
        needs: ClassVar[Needs] = Needs()
        weights: object = None

        def fit(self, task): ...

    with pytest.raises(UsageError, match="weights"):
        croftbench.run(WithTensor(torch.zeros(3)), suite_file, seeds=[1], **folders)
    with pytest.raises(UsageError, match="frozen dataclass"):
        croftbench.run(dict, suite_file, **folders)
    with pytest.raises(UsageError, match="is no method"):
        croftbench.run(3, suite_file, **folders)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"shots": 0}, "shots must be at least 1, not 0"),
        ({"views": -1}, "views must be at least 1"),
        ({"shots": "3"}, "shots must be a whole number, not '3'"),
        ({"seeds": [1.5]}, "1.5 is no seed"),
        ({"seeds": 1}, "seeds=1 is no list of seeds"),
        ({"seeds": "1"}, "seeds='1' is no list of seeds"),
        ({"seeds": []}, "is no list of seeds"),
        ({"settings": ["lr=1", "lr=1"]}, "lr is given twice"),
    ],
)
def test_what_no_run_can_have_is_refused(folders, suite_file, asked, says):
    with pytest.raises(UsageError, match=says):
        croftbench.run("linear-probe" if "lr" not in says else "croft", suite_file, **asked, **folders)


CELL = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from croftbench.method import Needs, Outputs
SCALE = {scale}
def scaled(z): return SCALE * z
@dataclass(frozen=True)
class InACell:
    needs: ClassVar[Needs] = Needs(train=False)
    def fit(self, task):
        w = torch.nn.functional.normalize(task.text, dim=-1)
        return lambda f: Outputs(scaled(f @ w.T), torch.nn.functional.normalize(f, dim=-1))
"""


def test_a_notebook_cell_is_fingerprinted_with_what_it_uses():
    """As IPython does it: the source is in linecache, the module is __main__, and there is no file."""

    def source(scale):
        code = textwrap.dedent(f"""
            import linecache, types, sys
            text = {CELL.format(scale=scale)!r}
            linecache.cache["<cell>"] = (len(text), None, text.splitlines(True), "<cell>")
            sys.modules["__main__"].__dict__.pop("__file__", None)
            exec(compile(text, "<cell>", "exec"), sys.modules["__main__"].__dict__)
            from croftbench.plugins.in_memory import source_of
            print(source_of(InACell))
        """)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert source(2) == source(2)
    assert source(2) != source(3)


def test_importing_croftbench_imports_no_torch():
    code = (
        "import sys, croftbench; croftbench.load_suite('emoji-open'); dir(croftbench); croftbench.methods(); "
        "print([m for m in ('torch', 'open_clip', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_public_is_there():
    for name in croftbench.__all__:
        assert getattr(croftbench, name) is not None
    assert set(croftbench.__all__) <= set(dir(croftbench))
    with pytest.raises(AttributeError, match="no attribute 'leaderbord'"):
        _ = croftbench.leaderbord


def test_what_a_user_can_mend_is_one_kind_of_error():
    with pytest.raises(croftbench.CroftbenchError, match="unknown method 'crofft'"):
        croftbench.run("crofft")


@pytest.mark.parametrize(("room", "name"), [("methods", "croft"), ("scorers", "energy"), ("suites", "emoji-open")])
def test_rooms_list_what_they_hold(room, name):
    assert name in {row["name"] for row in getattr(croftbench, room)()}


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "croftbench", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"croftbench {croftbench.__version__}"


# ------------------------------------------------------------------------------------- reading


def test_runs_are_loaded_and_a_board_is_read_again(folders, suite_file):
    made = croftbench.run("zero-shot", suite_file, seeds=[1], **folders)
    (run,) = croftbench.load_runs(results=folders["results"])
    assert croftbench.load_run(run.spec.run_id[:6], results=folders["results"]) == run
    again = croftbench.leaderboard(suite_file, seeds=[1], results=folders["results"])
    assert again.wide.equals(made.wide)
    assert json.loads(results.path_of(folders["results"], run.spec).read_text())["spec"]["method"] == "zero-shot"


# ------------------------------------------------------------------------------------- evaluating


def test_scores_and_labels_give_every_metric_with_its_interval():
    rng = np.random.default_rng(0)
    inside, near, far = rng.normal(2, 1, 400), rng.normal(1, 1, 300), rng.normal(-2, 1, 200)
    labels = rng.integers(0, 5, 400)
    table = croftbench.evaluate(inside, {"near": near, "far": far}, predicted=labels, labels=labels)
    value = table.set_index(["metric", "split"])["value"]
    assert value["accuracy", "id"] == 1.0
    pairs = (inside[:, None] > near[None, :]).mean()
    assert value["auroc", "near"] == pytest.approx(pairs, abs=1e-12)
    assert value["auroc", "far"] > value["auroc", "near"]
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert set(table["metric"]) == {"accuracy", "auroc", "fpr95", "fpr95_ood_positive", "aupr", "aupr_out", "ties"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1.0, float("nan")], [0.0]), "score 1 of 'known' is nan"),
        (([[1.0]], [0.0]), "of shape"),
        (([1.0], []), "of shape"),
        (([1.0],), "nothing to evaluate"),
    ],
)
def test_wrong_scores_are_one_line(arguments, says):
    with pytest.raises(CroftbenchError) as caught:
        croftbench.evaluate(*arguments)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_predictor_is_evaluated_as_the_method_that_made_it(folders, suite_file):
    text = {}

    @dataclass(frozen=True)
    class Spy(Mine):
        def fit(self, task):
            text["w"] = torch.nn.functional.normalize(task.text, dim=-1)
            return super().fit(task)

    board = croftbench.run(Spy(alpha=2.0), suite_file, seeds=[1], **folders)
    table = croftbench.evaluate(
        lambda f: 2.0 * torch.nn.functional.normalize(f, dim=-1) @ text["w"].T, suite=suite_file, seeds=[1],
        cache=folders["cache"],
    )  # fmt: skip
    stored = {(s.split, s.metric, s.scorer, s.reference): s.value for s in board.runs[0].scores}
    made = {(r.split, r.metric, r.scorer, r.reference): r.value for r in table.itertuples()}
    assert made == {key: stored[key] for key in made}
    assert len(made) == len([s for s in board.runs[0].scores if s.shift != "named"])
    assert len(croftbench.load_runs(results=folders["results"])) == 1  # evaluating writes nothing


def test_the_notebook_in_the_docs_runs(cache, tmp_path):
    notebook = Path(__file__).parents[2] / "docs" / "examples" / "own_method.py"
    (tmp_path / "notebook.py").write_text(f"{notebook.read_text()}\nprint(sorted(board.wide['method']))\n")
    done = subprocess.run(
        [sys.executable, "notebook.py"], capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "CROFTBENCH_CACHE": str(cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['NearestMean, share=0.5', 'NearestMean, share=0.8', 'zero-shot']"
