"""Bundles: what goes in comes out, marked; whatever is not what it says stays out, whole."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from croftbench.errors import DataError
from croftbench.files import sealed
from croftbench.runs import bundle, per_image, results


@pytest.fixture
def shared(made, tmp_path):
    """(results folder, its runs, the bundle of them)."""
    mine = tmp_path / "mine"
    runs = [made(mine, method, 1) for method in ("croft", "zero-shot")]
    bundle.export(mine, runs, tmp_path / "runs.zip")
    return mine, runs, tmp_path / "runs.zip"


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rewrite(file: Path, change, resign: bool = True) -> None:
    """Pass a bundle's members through `change` (name -> bytes, in place) and write it again, digests made to fit."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    if resign:
        listing = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in members.items()
            if name != "manifest.json"
        }
        members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | {"files": listing}).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def edit(members: dict[str, bytes], change, name: str = "") -> None:
    """Change the first run's JSON, and make its digest fit."""
    name = name or next(name for name in members if name.endswith(".json") and name.startswith("runs/"))
    data = json.loads(members[name])
    del data["digest"]
    change(data)
    members[name] = sealed(json.dumps(data)).encode()


# ------------------------------------------------------------------------------------- round trip


def test_the_same_runs_give_the_same_bytes(shared, tmp_path):
    mine, runs, file = shared
    bundle.export(mine, reversed(runs), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zip", "mine", "runs.zip"]


def test_what_goes_in_comes_out_and_says_so(shared, tmp_path):
    mine, runs, file = shared
    done = bundle.import_runs(tmp_path / "theirs", file)
    assert {spec.run_id for spec in done.new} == {run.spec.run_id for run in runs}
    for run in runs:
        copy = results.read(results.path_of(tmp_path / "theirs", run.spec))
        assert bundle.imported(copy)
        assert not bundle.imported(run)
        assert copy.env["imported"]["bundle"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert replace(copy, env=run.env) == run
        tables = [per_image.path_of(folder, run.spec).read_bytes() for folder in (mine, tmp_path / "theirs")]
        assert tables[0] == tables[1]
    before = files(tmp_path / "theirs")
    assert bundle.import_runs(tmp_path / "theirs", file) == bundle.Imported((), done.new)
    assert files(tmp_path / "theirs") == before
    assert list((tmp_path / "theirs").iterdir()) == [tmp_path / "theirs" / "runs"]


def test_own_runs_stay_own(shared):
    mine, _, file = shared
    before = files(mine)
    assert len(bundle.import_runs(mine, file).present) == 2
    assert files(mine) == before


def test_a_run_with_other_numbers_is_never_replaced(shared, made, tmp_path):
    _, runs, file = shared
    made(tmp_path / "theirs", "zero-shot", 1, skill=0.7)
    before = files(tmp_path / "theirs")
    with pytest.raises(DataError, match=f"run {runs[1].spec.run_id} .* already, with other numbers"):
        bundle.import_runs(tmp_path / "theirs", file)
    assert files(tmp_path / "theirs") == before  # croft, which is new, stayed out too


def test_a_run_without_its_table_cannot_be_shared(shared, tmp_path):
    mine, runs, _ = shared
    per_image.path_of(mine, runs[0].spec).unlink()
    with pytest.raises(DataError, match=f"run {runs[0].spec.run_id} .* cannot be shared"):
        bundle.export(mine, runs, tmp_path / "other.zip")
    assert not (tmp_path / "other.zip").exists()
    with pytest.raises(DataError, match="no runs"):
        bundle.export(mine, [], tmp_path / "other.zip")


# ------------------------------------------------------------------------------------- what must stay out


def refused(file: Path, folder: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        bundle.import_runs(folder, file)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert files(folder) == {} if folder.exists() else True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run["scores"][0].update(value=0.99), "value of accuracy id is 0.99.*its per-image table gives"),
        (
            lambda run: [s.update(low=s["low"] - 1e-6) for s in run["scores"] if s["metric"] == "auroc"],
            "low of auroc near",
        ),
        (lambda run: run.update(warnings=["all is well"]), "warnings are not those"),
        (lambda run: run["scores"][0].update(value=float("nan")), "runs/"),
        (lambda run: run["scores"][0].update(value="1"), "runs/"),
        (lambda run: run["scores"].pop(), "not those that its per-image table gives"),
        (lambda run: run["scores"].append(run["scores"][0]), "is there twice"),
        (lambda run: run["scores"][0].update(n_id=5), "not those that its per-image table gives"),
        (lambda run: run["spec"].update(seed=2), "was changed"),
        (lambda run: run["spec"].update(extra=2), "is not readable"),
        (lambda run: run.update(env=[]), "runs/"),
        (lambda run: run.update(schema=1), "has schema 1"),
        (lambda run: run.update(timings={"fit": float("inf")}), "runs/"),
    ],
)
def test_numbers_that_do_not_follow(shared, tmp_path, change, message):
    rewrite(shared[2], lambda members: edit(members, change))
    refused(shared[2], tmp_path / "theirs", message)


def test_damage(shared, tmp_path):
    file = shared[2]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused(file, tmp_path / "theirs", "not a readable bundle")
    position = whole.index(b'"scores"')
    file.write_bytes(whole[:position] + b"X" + whole[position + 1 :])
    refused(file, tmp_path / "theirs", "not a readable bundle")  # the zip's own checksum
    refused(tmp_path / "nowhere.zip", tmp_path / "theirs", "cannot read")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "/etc/evil.json",
        "runs/../../x/0123456789ab.json",
        "runs/a/../0123456789ab.json",
        "runs/a/.b/0123456789ab.json",
        "runs/a/b\x1b[31m/0123456789ab.json",
        "runs/a/b/c/0123456789ab.json",
        "runs/a/b/0123456789ab.py",
        "runs\\a\\b\\0123456789ab.json",
        "leaderboards/emoji-open.md",
        "runs/a/b/",
    ],
)
def test_paths_that_lead_elsewhere(shared, tmp_path, name):
    rewrite(shared[2], lambda members: members.update({name: b"{}"}))
    refused(shared[2], tmp_path / "theirs", "is not the path of a run")
    assert not (tmp_path / "evil.json").exists()


@pytest.mark.parametrize("utf8", [True, False])
def test_a_name_that_is_no_utf8(shared, tmp_path, utf8):
    """Python's reader raises UnicodeDecodeError where a member says that its name is UTF-8, else takes it for CP437."""
    _, _, file = shared
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("runs/s/m/\u00e9.json" if utf8 else "runs/s/m/XX.json", b"{}")
    name = "m/\u00e9.".encode() if utf8 else b"m/XX."
    assert file.read_bytes().count(name) == 2  # before its content, and in the list at the end
    file.write_bytes(file.read_bytes().replace(name, b"m/\xff\xfe."))
    refused(file, tmp_path / "theirs", "can't decode byte 0xff" if utf8 else "is not the path of a run")


def test_members_that_do_not_fit_the_manifest(shared, tmp_path):
    file, whole = shared[2], shared[2].read_bytes()

    def first(members: dict[str, bytes], end: str) -> str:
        return next(name for name in members if name.startswith("runs/") and name.endswith(end))

    for change, resign, message in (
        (lambda m: m.update({first(m, ".json"): b"{}"}), False, "does not have the digest"),
        (lambda m: m.pop(first(m, ".json")), False, "differ at"),
        (lambda m: m.pop(first(m, ".parquet")), True, "comes without"),
        (lambda m: m.pop("manifest.json"), False, "missing or broken"),
        (
            lambda m: m.update({"manifest.json": b'{"schema": 2, "croftbench": "9", "files": {}}'}),
            False,
            "has schema 2",
        ),
        (lambda m: m.update({"manifest.json": b"[" * 100_000}), False, "missing or broken"),
        (lambda m: m.update({first(m, ".parquet"): b"PAR1"}), True, "runs/"),
    ):
        file.write_bytes(whole)
        rewrite(file, change, resign)
        refused(file, tmp_path / "theirs", message)


def test_a_table_that_is_another_runs(shared, tmp_path):
    def swap(members: dict[str, bytes]) -> None:
        one, two = (name for name in members if name.endswith(".parquet"))
        members[one], members[two] = members[two], members[one]

    rewrite(shared[2], swap)
    refused(shared[2], tmp_path / "theirs", "its digest is not the one in its run")

    def fit(members: dict[str, bytes]) -> None:
        for table in [name for name in members if name.endswith(".parquet")]:
            digest = {"table": hashlib.sha256(members[table]).hexdigest()}
            edit(members, partial(dict.update, **digest), table.replace(".parquet", ".json"))

    rewrite(shared[2], fit)
    refused(shared[2], tmp_path / "theirs", "its per-image table gives")


def test_a_run_changed_before_it_was_shared(shared, tmp_path):
    """Its bundle's digests fit, its own does not."""

    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.endswith("json") and name != "manifest.json")
        members[name] = members[name].replace(b'"low": 0.', b'"low": 0.0', 1)

    rewrite(shared[2], change)
    refused(shared[2], tmp_path / "theirs", "its digest is another")


def test_a_run_under_another_name(shared, tmp_path):
    def rename(members: dict[str, bytes]) -> None:
        for name in [name for name in members if "/zero-shot/" in name]:
            members[name.replace("zero-shot", "winner")] = members.pop(name)

    rewrite(shared[2], rename)
    refused(shared[2], tmp_path / "theirs", "in another suite's or method's folder")


def test_links_and_giants(shared, tmp_path, monkeypatch):
    file = shared[2]
    link = zipfile.ZipInfo("runs/a/b/0123456789ab.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(file, tmp_path / "theirs", "is a link")
    for limit, message in (("MAX_FILE", "larger than"), ("MAX_FILES", "larger than"), ("MAX_TOTAL", "larger than")):
        with monkeypatch.context() as lowered:
            lowered.setattr(bundle, limit, 2)
            refused(file, tmp_path / "theirs", message)


def test_a_table_that_unfolds_is_refused(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle.recheck, "MAX_ROWS", 2)
    refused(shared[2], tmp_path / "theirs", "more than 2 rows")


def test_names_with_control_characters(made, tmp_path):
    run = made(tmp_path / "mine", "croft", 1, encoder="clip\x1b[2J")
    bundle.export(tmp_path / "mine", [run], tmp_path / "runs.zip")
    refused(tmp_path / "runs.zip", tmp_path / "theirs", "control characters")


def test_a_failure_half_way_takes_everything_back(shared, tmp_path, monkeypatch):
    real, moved = Path.replace, []

    def failing(self: Path, target: Path) -> Path:
        if ".import-" in str(self) and ".import-" not in str(target):
            moved.append(target)
            if len(moved) == 4:
                raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(DataError, match="No space left on device"):
        bundle.import_runs(tmp_path / "theirs", shared[2])
    assert len(moved) == 4
    assert files(tmp_path / "theirs") == {}


def test_rounding_in_the_last_digit_is_not_fraud(shared, tmp_path):
    """Another NumPy may add in another order: 1e-12 passes, and what is stored is the exporter's number."""

    def nudge(run: dict) -> None:
        auroc = next(score for score in run["scores"] if score["metric"] == "auroc")
        auroc["value"] = float(np.nextafter(auroc["value"], 1))

    rewrite(shared[2], lambda members: edit(members, nudge))
    done = bundle.import_runs(tmp_path / "theirs", shared[2])
    assert len(done.new) == 2
    assert asdict(results.read(results.path_of(tmp_path / "theirs", done.new[0])))["scores"]
