"""Faults of the disk below a command: read-only and full ones, folders that vanish, helpers that are damaged.

Rights stop nobody who is root, so a fault comes from a hook that Python calls before it opens, makes, moves or
removes a file: the command is the real one, in a process of its own.
"""

import os
import shutil
import subprocess
import sys

import pytest

import croftbench as library
from croftbench import encoders, plugins
from croftbench.api import checking
from croftbench.encoders import rates
from croftbench.errors import DataError
from croftbench.runs import cached, engine, outputs
from tests.conftest import FOOD

FAULT = """
import os, sys
kind, folders, after = sys.argv.pop(1), tuple(sys.argv.pop(1).split(":")), int(sys.argv.pop(1))
done = []
def hook(event, arguments):
    path = str(arguments[0]) if arguments else ""
    if not path.startswith(folders):
        return
    if event == "open":
        mode, flags = arguments[1], arguments[2] or 0
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.utime", "os.link")
    if writes and not (kind == "full" and event in ("os.remove", "os.rmdir", "os.mkdir")):
        done.append(path)
        if len(done) > after:
            raise OSError(28, "No space left on device") if kind == "full" else OSError(30, "Read-only file system")
sys.addaudithook(hook)
sys.argv[0] = "croftbench"
from croftbench.cli import main
main()
"""


RUN = "run -s {suite} -m zero-shot"


def run(kind, folders, line, root, after=0):
    """A command under a fault: "read-only", "full" after so many writes, or "none"; see `warm` for `root`."""
    words = [word.format(suite=root / "food.toml") for word in line.split()]
    words = [sys.executable, "-c", FAULT, kind, ":".join(map(str, folders)), str(after), *words]
    own = {"CROFTBENCH_RESULTS": str(root / "results"), "CROFTBENCH_CACHE": str(root / "cache")}
    return subprocess.run(words, capture_output=True, text=True, env=os.environ | own)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A folder of: a small suite; results of two methods on it, with tables; a cache that has all that they needed."""
    root = tmp_path_factory.mktemp("warm")
    (root / "food.toml").write_text(FOOD)
    done = run("none", ["/nowhere"], f"{RUN},tip-adapter", root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize(
    "line",
    [
        "leaderboard {suite}", "leaderboard {suite} --format csv", "leaderboard {suite} --check", "show {id}",
        "compare zero-shot tip-adapter -s {suite}", "plot pareto -s {suite} -o {out}/a.svg", "report {suite} -o {out}",
        "export {out}/runs.zip", "list methods", "cache list", "cache size", "data status", f"{RUN},tip-adapter",
    ],
)  # fmt: skip
def test_what_only_reads_works_on_read_only_folders(warm, tmp_path, line):
    run_id = next((warm / "results/runs").rglob("*.json")).stem
    done = run("read-only", [warm], line.format(id=run_id, out=tmp_path, suite=warm / "food.toml"), warm)
    assert done.returncode == 0, done.stderr
    assert "Read-only" not in done.stderr


def test_a_read_only_cache_that_is_warm_serves_new_runs(warm, tmp_path):
    done = run("read-only", [warm], f"{RUN} --results {tmp_path / 'results'}", warm)
    assert done.returncode == 0, done.stderr
    assert f"are not kept in {warm / 'cache/outputs'}: Read-only file system" in done.stderr  # said, and no failure


@pytest.mark.parametrize("fault", ["cache", "results"])
def test_the_folder_at_fault_is_named(warm, tmp_path, fault):
    (tmp_path / fault).mkdir()
    done = run(
        "read-only", [tmp_path / fault], f"{RUN} --results {tmp_path / 'results'} --{fault} {tmp_path / fault}", warm
    )
    assert done.returncode == 1
    wrong = [said for said in done.stderr.splitlines() if said.startswith("error: ") and "Read-only" in said]
    assert f"cannot write {tmp_path / fault}" in wrong[0]
    assert f"Make {tmp_path / fault} writable, or choose another folder with --{fault}." in wrong[0]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_full_disk_is_told_and_what_it_cost_is_made_up_for(warm, tmp_path, after):
    results = tmp_path / "results"
    done = run("full", [results], f"{RUN} --results {results}", warm, after)
    assert done.returncode == 1
    assert f"cannot write {results}" in done.stderr
    assert "No space left on device. Free some space in " in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(results.rglob("*.tmp"))
    again = run("none", ["/nowhere"], f"{RUN} --results {results}", warm)
    assert again.returncode == 0, again.stderr
    (table,) = (results / "runs").rglob("*.parquet")
    assert table.read_bytes() == (warm / "results" / table.relative_to(results)).read_bytes()


def test_a_failure_that_cannot_be_recorded_is_still_said(warm, tmp_path):
    """The cache's disk is full, and the results' too: both are named."""
    results, cache = tmp_path / "results", tmp_path / "cache"
    done = run("full", [cache / "features", results / "failed"], f"{RUN} --results {results} --cache {cache}", warm)
    assert done.returncode == 1
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert f"cannot write {cache / 'features'}" in said
    assert f"That cannot be recorded: cannot write {results / 'failed'}" in said


@pytest.mark.parametrize(
    "line",
    ["leaderboard emoji-open", "compare croft zero-shot -s emoji-open", "plot pareto", "report", "export a.zip"],
)
def test_a_results_folder_that_vanished_is_not_called_empty(croftbench, tmp_path, line):
    code, _, err = croftbench(*line.split(), "--results", tmp_path / "gone")
    assert code != 0
    assert f"there is no results folder {tmp_path / 'gone'}" in err


def test_results_that_are_removed_while_runs_go_on_are_missed(warm, tmp_path, monkeypatch):
    results = tmp_path / "results"
    shutil.copytree(warm / "results", results)
    for path in (results / "runs").glob("*/tip-adapter/*"):
        path.unlink()
    real = engine.run_all

    def removing(bench, jobs, folder, *others):
        shutil.rmtree(folder)
        return real(bench, jobs, folder, *others)

    monkeypatch.setattr(engine, "run_all", removing)
    with pytest.raises(DataError, match=f"1 of 2 runs were finished and are no longer in {results}"):
        library.run("zero-shot,tip-adapter", warm / "food.toml", results=results, cache=warm / "cache")


DAMAGED = [b"", b"[]", b"{}", b"null", b"\x80\x00", b'{"schema": 2}', b'{"name": 5, "params": []}', b"[" * 100_000]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_helpers_of_the_cache_are_never_required_to_be_right(warm, tmp_path, content, caplog):
    for kind in ("methods", "encoders", "outputs"):
        shutil.copytree(warm / "cache" / kind, tmp_path / kind)
    described = plugins.describe("zero-shot", tmp_path)
    (rate,), identity = tmp_path.glob("encoders/rate-*"), encoders.identity(encoders.EMBEDDED, tmp_path)
    helpers = [*tmp_path.glob("methods/*"), *tmp_path.glob("encoders/emoji*"), *tmp_path.glob("outputs/*/meta.json")]
    assert len(helpers) == 5
    for path in (*helpers, rate):
        path.write_bytes(content)
    assert plugins.describe("zero-shot", tmp_path) == described
    assert encoders.identity(encoders.EMBEDDED, tmp_path) is None
    assert [outputs.find(tmp_path, path.parent.name) for path in helpers[3:]] == [None, None]
    assert rates.read(tmp_path, identity) is None
    assert len(caplog.messages) == 5
    assert all("is damaged and is made again" in said and "\n" not in said for said in caplog.messages)
    assert [path.exists() for path in helpers[2:]] == [False] * 3


def test_a_command_goes_on_over_damaged_helpers(warm, tmp_path):
    shutil.copytree(warm, tmp_path, dirs_exist_ok=True)
    for path in [*tmp_path.glob("cache/methods/*"), *tmp_path.glob("cache/encoders/*"), *tmp_path.rglob("meta.json")]:
        path.write_bytes(b"")
    done = run("none", ["/nowhere"], f"{RUN} --scorers mcm", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is damaged and is made again") == 4


def test_what_vanishes_from_the_cache_is_no_error_and_what_cannot_go_is_one(tmp_path, monkeypatch):
    (tmp_path / "features").mkdir()
    (tmp_path / "features/gone.npy").symlink_to(tmp_path / "nowhere")
    (tmp_path / "features/there.npy").write_bytes(b"x")
    assert [one.path.name for one in cached.entries(tmp_path)] == ["there.npy"]

    def read_only(self, missing_ok):
        raise OSError(30, "Read-only")

    monkeypatch.setattr(type(tmp_path), "unlink", read_only)
    with pytest.raises(DataError, match=r"cannot remove .*there\.npy: Read-only") as caught:
        cached.prune(tmp_path, 0)
    assert str(tmp_path / "features") in caught.value.hint


def test_the_end_of_a_file_is_not_taken_for_ctrl_c(croftbench, monkeypatch):
    def ends(**folders):
        raise EOFError("No data left in file")

    monkeypatch.setattr(checking, "check", ends)
    code, _, err = croftbench("check")
    assert code == 1
    assert "No data left in file" in err
    assert "interrupted" not in err
