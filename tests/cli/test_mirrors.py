"""Results and a cache in a bucket of a real S3 server on loopback: nothing is lost, nothing half is taken for whole."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import s3fs
import torch
from moto.server import ThreadedMotoServer

import croftbench as package
from croftbench import mirrors
from croftbench.errors import DataError, UsageError
from croftbench.files import write_atomically
from croftbench.runs import engine, per_image, results

RESULTS, CACHE = "s3://bucket/my/results", "s3://bucket/cache"


@dataclass
class Wire:
    """What lies between a client and the server: it may be cut in the middle of a request or of an answer.

    Attributes:
        cut: what a request must begin with for its connection to be cut.
        after: bytes of that request's connection that still pass.
        answers: cut what comes back instead of what is sent.
        cuts: how often it was.
    """

    server: tuple[str, int]
    cut: bytes = b""
    after: int = 0
    answers: bool = False
    cuts: int = 0
    listener: socket.socket = field(init=False)

    def __post_init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.server)
            doomed = threading.Event()
            for ends in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(*ends, doomed), daemon=True).start()

    def _pass(self, source, target, asking, doomed):
        left = None
        try:
            while data := source.recv(65536):
                if asking and self.cut and data.startswith(self.cut):
                    doomed.set()
                if doomed.is_set() and asking != self.answers and left is None:
                    left = self.after
                if left is not None:
                    data, left = data[:left], left - len(data)
                target.sendall(data)
                if left is not None and left <= 0:
                    self.cuts += 1
                    break
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture(scope="module")
def server():
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    yield moto.get_host_and_port()
    moto.stop()


@pytest.fixture
def wire(server, monkeypatch, tmp_path):
    """An empty bucket behind a wire, and this machine's mirrors."""
    wire = Wire(server)
    for name, value in {
        "AWS_ENDPOINT_URL": wire.url, "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", mirrors.MIRRORS: str(tmp_path / "here"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    s3fs.S3FileSystem.clear_instance_cache()
    store().mkdir("bucket")
    yield wire
    wire.cut = b""
    s3fs.S3FileSystem.clear_instance_cache()  # of a test that asked another address
    for one in store().call_s3("list_objects_v2", Bucket="bucket").get("Contents", ()):
        store().call_s3("delete_object", Bucket="bucket", Key=one["Key"])
    store().call_s3("delete_bucket", Bucket="bucket")
    wire.listener.close()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """`elsewhere(name)`: from now on this is another machine, whose mirrors are others."""
    return lambda name: monkeypatch.setenv(mirrors.MIRRORS, str(tmp_path / name))


def store():
    return s3fs.S3FileSystem(use_listings_cache=False)


def objects(below="my/results"):
    """Name -> bytes of everything below a folder of the bucket."""
    there = store().find(f"bucket/{below}")
    return {name.removeprefix(f"bucket/{below}/"): store().cat_file(name) for name in there}


def local(url=RESULTS, kind=mirrors.RESULTS):
    return mirrors.mirror(url, kind)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_machine_finds_what_the_first_one_did(wire, elsewhere, suite_file, tmp_path):
    """Finished runs, their tables, the suite's own file and the features: nothing is done twice."""
    shared = {"seeds": [1], "limit": 20, "results": RESULTS, "cache": CACHE}
    package.run("tip-adapter", suite_file, device="cpu", progress=False, **shared)
    assert files(local()) == objects()
    assert {Path(name).suffix for name in objects()} == {".json", ".parquet", ".toml"}
    features = objects("cache")
    assert features and all(name.startswith("features/") and name.endswith(".npy") for name in features)

    elsewhere("there")
    forecast = package.forecast("zero-shot,tip-adapter", suite_file, **shared)
    assert [run.finished for run in forecast.runs] == [False, True]
    assert forecast.images == 0
    assert not list((tmp_path / "there").rglob("*.npy"))  # a forecast fetches no features
    package.run("zero-shot,tip-adapter", suite_file, device="cpu", progress=False, **shared)
    assert objects("cache").items() >= features.items()
    assert files(local()) == objects()

    elsewhere("here")
    runs = package.load_runs(results=f"{RESULTS}/smoke")
    assert {run.spec.method for run in runs} == {"zero-shot", "tip-adapter"}


def test_an_upload_that_is_cut_is_no_run_and_is_put_up_by_the_next_command(wire, elsewhere, made, caplog):
    wire.cut, wire.after = b"PUT /bucket/my/results/runs/emoji-open/croft/", 700  # its head, and a part of its body
    made(local(), "croft", 1)
    assert wire.cuts and objects() == {}
    assert "is kept in" in caplog.text and "and put up later: cannot put a file into s3://bucket" in caplog.text
    elsewhere("there")
    assert package.load_runs(results=RESULTS) == []
    elsewhere("here")
    with pytest.raises(DataError, match=r"cannot put .* 2 file\(s\) are kept in .*same command goes on from there"):
        package.load_runs(results=RESULTS)
    wire.cut = b""
    (run,) = package.load_runs(results=RESULTS)
    elsewhere("there")
    assert package.load_runs(results=RESULTS) == [run]
    assert per_image.read(per_image.path_of(local(), run.spec), run.table)


def test_a_table_without_its_run_is_not_finished(wire, elsewhere, made):
    """The JSON is what is cut: the table before it went up."""
    wire.cut, wire.after = b"", 0
    run = made(local("s3://bucket/other"), "croft", 1)
    name = results.file_of(run.spec)
    wire.cut, wire.after = f"PUT /bucket/my/results/runs/{name}".encode(), 2000
    made(local(), "croft", 1)
    assert list(objects()) == [f"runs/{name.removesuffix('.json')}.parquet"]
    elsewhere("there")
    assert package.load_runs(results=RESULTS) == []


def test_a_download_that_is_cut_leaves_nothing_half(wire, elsewhere, made):
    run = made(local(), "croft", 1)
    elsewhere("there")
    wire.cut, wire.after, wire.answers = b"GET /bucket/my/results/runs/", 900, True
    with pytest.raises(DataError, match=r"cannot fetch from s3://bucket/my/results: ") as told:
        package.load_runs(results=RESULTS)
    assert wire.cuts and "\n" not in str(told.value)
    assert not list((local() / "runs").rglob("*.*"))
    wire.cut = b""
    assert package.load_runs(results=RESULTS) == [run]


def test_a_process_that_is_killed_before_it_put_a_file_up_is_made_up_for(wire, elsewhere, tmp_path):
    """Killed between the step that makes a file complete here and its upload."""
    code = f"""
import os, signal
from croftbench import files, mirrors
from croftbench.mirrors import up
up._put = lambda *file: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(mirrors.mirror({RESULTS!r}, "results") / "tuning/food/croft.json", "whole")
"""
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == -9
    assert objects() == {}
    mirrors.pull(local())
    assert objects() == {"tuning/food/croft.json": b"whole"} == files(local())


def test_what_is_removed_or_replaced_on_one_machine_is_so_on_all(wire, elsewhere, croftbench, made):
    run, other = made(local(), "croft", 1), made(local(), "mine", 1)
    elsewhere("there")
    assert len(package.load_runs(results=RESULTS)) == 2
    code, _, err = croftbench("rm", "mine", "--yes", "--results", RESULTS)
    assert code == 0 and "to s3://bucket/my/results/trash/" in err
    path = results.path_of(local(), run.spec)
    text = path.read_bytes()
    other_time = text.replace(b"2026-01-01T00", b"2026-01-01T01")  # as long as before
    head = other_time[: other_time.index(b',\n "digest"')]
    seal = hashlib.sha256(head).hexdigest().encode()
    write_atomically(path, head + b',\n "digest": "' + seal + b'"\n}\n')
    elsewhere("here")
    (left,) = package.load_runs(results=RESULTS)
    assert left.created == "2026-01-01T01:00:00+00:00"
    assert not results.path_of(local(), other.spec).exists()
    kept = [name for name in objects() if name.startswith("trash/") and other.spec.run_id in name]
    assert sorted(Path(name).suffix for name in kept) == [".json", ".parquet"]


def test_a_run_that_another_machine_finished_meanwhile_stays_as_it_is(wire, elsewhere, suite_file, cache):
    """Two machines at one run, each without knowing of the other: the later one takes the earlier one's result."""
    folder = local() / "smoke"
    bench, jobs = at_work(suite_file, cache)
    elsewhere("there")
    package.run(
        "zero-shot", suite_file, seeds=[1], limit=20, results=RESULTS, cache=cache, device="cpu", progress=False
    )
    first = objects()
    elsewhere("here")
    assert not jobs[0].finished(folder)
    result = engine.run_one(bench, jobs[0], folder)
    assert objects() == first
    assert result == results.read(results.path_of(folder, jobs[0].spec))
    assert engine.run_all(bench, jobs, folder, lambda *failure: None) == 0


def at_work(suite_file, cache):
    """A workbench and the jobs of zero-shot."""
    from croftbench.api import plans, running
    from croftbench.encoders.identity import EMBEDDED
    from croftbench.locations import Folders
    from croftbench.progress import Silent
    from croftbench.suites import manifest

    folders = Folders.of(RESULTS, cache)
    suite = manifest.suite(str(suite_file), folders.manifests).smoke(20)
    plan = plans.plan("zero-shot", suite, folders, Silent(), EMBEDDED, "", [1], None, None, None, ())
    return running.workbench(suite, EMBEDDED, folders, "cpu", Silent()), plan.jobs


def test_features_that_are_damaged_in_the_store_are_encoded_again_and_replaced(wire, elsewhere, caplog):
    text = ["a cat", "a dog"]
    first = np.array(feature_store().text(text))
    ((name, data),) = objects("cache").items()
    store().pipe_file(f"bucket/cache/{name}", data[:-40] + bytes(40))
    elsewhere("there")
    assert np.array_equal(feature_store().text(text), first)
    assert "is damaged and is made again" in caplog.text
    assert objects("cache") == {name: data}
    elsewhere("third")
    assert np.array_equal(feature_store(fail=True).text(text), first)


def feature_store(fail=False):
    from croftbench import encoders
    from croftbench.encoders.identity import EMBEDDED
    from croftbench.encoders.store import FeatureStore

    encoder = encoders.load(EMBEDDED, torch.device("cpu"), Path(os.environ[mirrors.MIRRORS]).parent / "records")

    def load():
        assert not fail, "the encoder was asked for"
        return encoder

    return FeatureStore(local(CACHE, mirrors.CACHE), encoder.identity, load)


def test_a_store_that_is_gone_in_the_middle_of_a_plan_costs_no_run(wire, croftbench, suite_file, elsewhere):
    """Every upload of a run fails: it is done, it is here, and the same command puts it up."""
    line = ("run", "-m", "zero-shot", "-s", suite_file, "--seeds", "1", "--limit", "20", "--results", RESULTS)
    wire.cut, wire.after = b"PUT /bucket/my/results/smoke/runs/", 0
    code, _, err = croftbench(*line)
    told = [line for line in err.splitlines() if line.startswith("error")]
    assert code == 1 and len(told) == 1 and "are kept in" in told[0], err
    assert not any("runs/" in name for name in objects())
    wire.cut = b""
    code, _, err = croftbench(*line)
    assert code == 0 and "1 of 1 runs are finished already, in s3://bucket/my/results/smoke." in err
    assert files(local()) == objects()
    assert f"Runs are in {RESULTS}/smoke/runs/food" in err


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("s3://nobody/results", DataError, r"cannot list s3://nobody/results: .* does not exist\. Make the bucket"),
        ("s3://", UsageError, "names no place for results. As in s3://bucket/folder"),
        ("hf://owner", UsageError, "As in hf://datasets/owner/name"),
        ("ftp://host/results", UsageError, "results cannot be at ftp://host/results. A folder, or one of s3://"),
        ("gs://bucket/results", UsageError, "needs gcsfs, which is not installed. pip install"),
    ],
)
def test_what_cannot_be_reached_is_one_line(wire, where, error, message):
    with pytest.raises(error, match=message) as told:
        package.load_runs(results=where)
    assert "\n" not in str(told.value)


def test_no_credentials_no_server_and_no_package_are_one_line(wire, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DataError, match=r"Unable to locate credentials. Check the credentials: AWS_PROFILE"):
        package.load_runs(results=RESULTS)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(DataError, match=r"cannot list s3://bucket/my/results: .*Check the network"):
            package.load_runs(results=RESULTS)
    code = "import sys; sys.modules['s3fs'] = None; from croftbench import cli; cli.main()"
    line = [sys.executable, "-c", code, "leaderboard", "--results", RESULTS]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2
    assert done.stderr == (f"error: {RESULTS} needs s3fs, which is not installed. pip install 'croftbench[remote]'\n")


def test_a_bucket_that_may_only_be_read_is_said_before_anything_is_run(wire, suite_file):
    wire.cut, wire.after = b"PUT ", 0
    with pytest.raises(DataError, match=r"cannot write to s3://bucket/my/results: "):
        package.run("zero-shot", suite_file, seeds=[1], results=RESULTS, cache=CACHE, progress=False)
    assert not list((local() / "runs").rglob("*.json"))


def test_leases_trash_and_unfinished_files_stay_here(wire):
    mirror = mirrors.of(local() / "runs")
    for name in ("claims/1.lease", "smoke/claims/1.lease", "trash/1/runs/a.json", ".import-1/runs/a.json", "a.tmp"):
        assert not mirror.mirrored(name)
    assert mirror.mirrored("runs/food/croft/1.json") and mirror.mirrored("smoke/runs/food/croft/1.json")
    cache = mirrors.of(local(CACHE, mirrors.CACHE) / "features")
    assert cache.mirrored("features/1.npy")
    for name in ("features/1.partial/0.npy", "features/1.lease", "outputs/1/0-logits.npy", "methods/1.json"):
        assert not cache.mirrored(name)


def test_an_object_whose_name_leads_out_of_the_folder_is_none_of_ours(wire, made, tmp_path):
    run = made(local(), "croft", 1)
    for name in (f"/{tmp_path}/out", "../../out", "runs/../../../out", "runs/.hidden", "/out", "runs/"):
        store().call_s3("put_object", Bucket="bucket", Key=f"my/results/{name}", Body=b"x")
    assert package.load_runs(results=RESULTS) == [run]
    assert not list(tmp_path.rglob("out")) and not list(local().rglob(".hidden"))


def test_a_url_is_the_same_however_it_is_written(wire, tmp_path):
    assert len({local(one) for one in (RESULTS, f"{RESULTS}/", Path(RESULTS), RESULTS.replace("s3", "S3"))}) == 1
    assert mirrors.named(local() / "runs/food") == f"{RESULTS}/runs/food"
    assert mirrors.named(tmp_path / "runs") == str(tmp_path / "runs")
