"""Hostile files of every kind that is read: it is read, or refused in the project's own words, never anything else.

The same cases every time; `make fuzz` tries fresh ones, and many more.
"""

import json
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croftbench import texts
from croftbench.data.decoding import decode
from croftbench.data.get.unpack import unpack
from croftbench.errors import CroftbenchError
from croftbench.files import sealed
from croftbench.runs import bundle, per_image, posthoc, results
from croftbench.suites import manifest, registry
from tests.conftest import FOOD

MORE = int(os.environ.get("CROFTBENCH_FUZZ", "0"))


def tried(examples):
    return settings(
        max_examples=MORE or examples, derandomize=not MORE, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def refused_or_read(read, *arguments):
    """The property: what `read` raises is a line of ours, that can be printed."""
    try:
        read(*arguments)
    except CroftbenchError as error:
        assert error.message.strip()


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([2**63, -1, 10**400]), st.floats(), st.text(max_size=8),
    st.just([]), st.just({}), st.just([[[]]]),
)  # fmt: skip
VALUES = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutant(draw, whole):
    """Bytes of a good file with a few changed, cut, doubled or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0 if data:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = data[at : at + 30]
            case _:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
    return bytes(data)


def swapped(data, draw):
    """One value of nested data replaced by any other."""
    if isinstance(data, dict | list) and data and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(data))) if isinstance(data, dict) else draw(st.integers(0, len(data) - 1))
        data[key] = swapped(data[key], draw)
        return data
    return draw(VALUES)


@tried(120)
@given(data=mutant(FOOD.encode()))
def test_suites_of_any_bytes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("m") / "food.toml"
    path.write_bytes(data)
    refused_or_read(manifest.suite.__wrapped__, str(path))


WORDS = [
    "[]",
    "1e999",
    "nan",
    "-inf",
    "0",
    "-1",
    "true",
    "[[]]",
    "{}",
    '""',
    '["emoji/noto", "digits"]',
    "9" * 5000,
    "[" * 3000,
]


@tried(120)
@given(
    line=st.sampled_from([n for n, one in enumerate(FOOD.splitlines()) if " = " in one]), word=st.sampled_from(WORDS)
)
def test_suites_with_any_value(tmp_path_factory, line, word):
    lines = FOOD.splitlines()
    lines[line] = lines[line].partition(" = ")[0] + " = " + word
    path = tmp_path_factory.mktemp("m") / "food.toml"
    path.write_text("\n".join(lines))
    refused_or_read(manifest.suite.__wrapped__, str(path))


@tried(60)
@given(data=mutant((manifest.root() / "splits/pacs.toml").read_bytes()))
def test_families_of_any_bytes(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("m")
    (folder / "splits").mkdir()
    (folder / "splits/pacs.toml").write_bytes(data)
    refused_or_read(registry.family, "pacs", folder)


@tried(150)
@given(
    data=st.binary(max_size=200) | mutant(b'a/1.jpg 3\nb/2.jpg 4\n# c\n"x,y";2\n'),
    end=st.sampled_from([".txt", ".csv", ".csv.gz", ".json", ".toml"]),
)
def test_lists_and_tables_of_any_bytes(tmp_path_factory, data, end):
    path = tmp_path_factory.mktemp("m") / f"list{end}"
    path.write_bytes(data)
    for read in (texts.lines, texts.rows, texts.toml, texts.from_json):
        refused_or_read(read, path)


@pytest.mark.parametrize("read", [texts.from_json, texts.toml])
@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "9" * 5000, "a = " + "[" * 100_000, "a = " + "9" * 5000]
)
def test_deep_and_long_values(tmp_path, read, text):
    (tmp_path / "deep").write_text(text)
    with pytest.raises(CroftbenchError, match="deep"):
        read(tmp_path / "deep")


@pytest.fixture(scope="module")
def world(tmp_path_factory, request):
    """A results folder of one run that is as small as they come, and its bundle."""
    from dataclasses import replace

    import numpy as np

    from croftbench.runs import scoring
    from croftbench.runs.per_image import SplitTable
    from croftbench.runs.spec import RunSpec

    folder = tmp_path_factory.mktemp("fuzz")
    spec = RunSpec("s", "d", "f", "m", 1, "", {"lr": 0.1}, "clip/a", "w", "t", 1, 1, 1)
    rng = np.random.default_rng(0)
    tables = [
        SplitTable(name, shift, labels, rng.integers(0, 3, 9), {"msp": rng.random(9).astype(np.float32)})
        for name, shift, labels in (("id", "id", rng.integers(0, 3, 9)), ("near", "semantic", np.full(9, -1)))
    ]
    per_image.write(folder, spec, tables)
    scores = tuple(scoring.score(tables, "msp"))
    run = results.RunResult(spec, scores, {"numpy": "2"}, {"fit": 1.0}, "2026-01-01T00:00:00+00:00")
    run = replace(run, warnings=tuple(scoring.warnings(scores)))
    path = results.write(folder, run)
    bundle.export(folder, [results.read(path)], folder / "runs.zip")
    return folder, path


@tried(150)
@given(data=st.data())
def test_runs_with_any_value(world, tmp_path_factory, data):
    _, good = world
    content = json.loads(good.read_text())
    del content["digest"]
    content = swapped(content, data.draw)
    path = tmp_path_factory.mktemp("m") / good.name
    path.write_bytes(sealed(json.dumps(content)).encode("utf-8", "surrogatepass"))
    refused_or_read(results.read, path)
    refused_or_read(posthoc.load, path)


@tried(150)
@given(data=st.data())
def test_per_image_tables_of_any_bytes(world, tmp_path_factory, data):
    _, good = world
    path = tmp_path_factory.mktemp("m") / "a/b/0.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(data.draw(mutant(results.table_of(good).read_bytes())))
    refused_or_read(per_image.read, path)


COLUMNS = {
    "split": pa.array(["id", "near"]), "shift": pa.array(["id", "semantic"]), "label": pa.array([0, -1]),
    "predicted": pa.array([0, 1]), "msp": pa.array([0.5, 0.2], pa.float32()),
}  # fmt: skip
OTHERS = [
    pa.array([None, None]),
    pa.array(["x", "y"]),
    pa.array([[1], [2]]),
    pa.array([1.5, float("nan")]),
    pa.array([b"", b"\xff"]),
]


@tried(60)
@given(data=st.data())
def test_bundles_of_odd_tables(world, tmp_path_factory, data):
    """Columns that lack or are of another type, no rows, bytes that are no Parquet; all digests made to fit."""
    import hashlib

    folder, _ = world
    table = dict(COLUMNS)
    for name in data.draw(st.lists(st.sampled_from(sorted(table)), max_size=2, unique=True)):
        table.pop(name) if data.draw(st.booleans()) else table.update({name: data.draw(st.sampled_from(OTHERS))})
    out = tmp_path_factory.mktemp("m")
    pq.write_table(pa.table(table).slice(0, data.draw(st.integers(0, 2))), out / "t.parquet")
    odd = (
        data.draw(mutant((out / "t.parquet").read_bytes()))
        if data.draw(st.booleans())
        else (out / "t.parquet").read_bytes()
    )
    with zipfile.ZipFile(folder / "runs.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    run = next(name for name in members if name.startswith("runs/") and name.endswith(".json"))
    members[run[:-5] + ".parquet"] = odd
    content = json.loads(members[run]) | {"table": hashlib.sha256(odd).hexdigest()}
    del content["digest"]
    members[run] = sealed(json.dumps(content)).encode()
    files = {
        n: {"sha256": hashlib.sha256(b).hexdigest(), "bytes": len(b)}
        for n, b in members.items()
        if n != "manifest.json"
    }
    members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | {"files": files}).encode()
    with zipfile.ZipFile(out / "runs.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refused_or_read(bundle.import_runs, out / "theirs", out / "runs.zip")
    assert not list((out / "theirs").glob(".import-*"))


@tried(120)
@given(data=st.data())
def test_bundles_and_archives_of_any_bytes(world, tmp_path_factory, data):
    folder, _ = world
    out = tmp_path_factory.mktemp("m")
    (out / "runs.zip").write_bytes(data.draw(mutant((folder / "runs.zip").read_bytes())))
    refused_or_read(bundle.import_runs, out / "theirs", out / "runs.zip")
    refused_or_read(unpack, out / "runs.zip", out / "unpacked")
    refused_or_read(decode, (out / "runs.zip").read_bytes()[: data.draw(st.integers(0, 400))], "x.png")
