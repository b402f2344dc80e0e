"""`croftbench data` as a user meets it: what is here, what lacks, how to get it, and how to cite it."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from croftbench import cli
from croftbench.suites import registry
from croftbench.suites.toml import names
from tests.layouts import build, names_below, reduced
from tests.layouts.runnable import runnable
from tests.loopback import Loopback, become_hub

COMMAND = [sys.executable, "-c", "from croftbench.cli import main; main()"]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    return runnable(tmp_path_factory.mktemp("registry") / "manifests")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def croftbench(monkeypatch, capsys, manifests, root):
    """`croftbench data ...` in this process, 80 columns wide: (exit code, stdout, stderr)."""

    def call(*arguments, writes=False):
        monkeypatch.setattr(sys, "argv", ["croftbench", "data", *map(str, arguments)])
        before = list(names_below(root))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        assert writes or list(names_below(root)) == before, "nothing is written into the user's folder"
        assert "Traceback" not in captured.err
        return stop.value.code, captured.out, captured.err

    monkeypatch.setenv("CROFTBENCH_MANIFESTS", str(manifests))
    monkeypatch.setenv("CROFTBENCH_DATA", str(root))
    monkeypatch.setenv("COLUMNS", "80")
    return call


@pytest.fixture
def lay(root, manifests):
    """`lay(family, layout, parts=())`: put a family under the root."""

    def put(family, layout, parts=()):
        return build(root, registry.family(family, manifests), layout, parts)

    return put


def error_line(stderr):
    (line,) = (line for line in stderr.splitlines() if line.startswith("error:"))
    return line


def row(out, name):
    """The cells of a table's row."""
    (line,) = (line for line in out.splitlines() if line.split() and line.split()[0] == name)
    return line.split()


# ------------------------------------------------------------------------------------------- status


def test_status_without_a_data_folder_shows_what_ships_and_how_to_say_where(croftbench, monkeypatch):
    monkeypatch.delenv("CROFTBENCH_DATA")
    code, out, err = croftbench("status")
    assert code == 0
    assert row(out, "emoji") == ["emoji", "(8", "splits)", "complete", "8,405", "croftbench", "shipped"]
    assert row(out, "emoji-open")[:3] == ["emoji-open", "can", "run"]
    assert "--data-root" in err
    assert "CROFTBENCH_DATA" in err


def test_status_of_an_empty_root(croftbench, manifests):
    code, out, err = croftbench("status")
    assert code == 0
    assert "pacs (4 splits)" in out
    assert row(out, "setup1")[1:3] == ["needs", "data"]
    assert max(map(len, out.splitlines())) <= 80
    assert "croftbench data get" in err
    for family in names("splits", manifests):
        assert any(line.startswith(family) for line in out.splitlines()), "every split has its place"


def test_status_of_a_mixed_root(croftbench, lay, root):
    lay("pacs", "domainbed")
    lay("imagenet-v2", "webdataset")
    next((root / "PACS/photo/dog").iterdir()).unlink()
    caltech = lay("caltech101", "coop")
    next(caltech.at.glob("*.json")).unlink()
    code, out, err = croftbench("status")
    assert code == 0
    assert row(out, "pacs/sketch")[1:] == ["complete", "12", "domainbed", "PACS"]
    assert row(out, "pacs/photo")[1:5] == ["incomplete", "11", "of", "12"]
    assert row(out, "imagenet-v2")[3] == "webdataset"
    assert row(out, "caltech101/test")[1] == "partial"
    assert "split_zhou_Caltech101.json is missing" in " ".join(croftbench("verify", "caltech101/test")[1].split())
    assert row(out, "domainbed-pacs") == ["domainbed-pacs", "needs", "data", "pacs/photo"]
    assert "`croftbench data verify caltech101" in err
    assert max(map(len, out.splitlines())) <= 80


def test_status_says_which_suites_can_run(croftbench, lay):
    lay("pacs", "domainbed")
    code, out, _ = croftbench("status")
    assert code == 0
    assert row(out, "domainbed-pacs") == ["domainbed-pacs", "can", "run"]
    assert row(out, "setup2-pacs")[1] == "needs"
    assert "dtd" in out.split("setup2-pacs ")[1].split("setup2-pacs-official")[0]


def test_status_as_json_has_every_split(croftbench, lay, manifests, root):
    lay("pacs", "domainbed")
    code, out, _ = croftbench("status", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["data_root"] == str(root)
    splits = {one["split"]: one for one in found["splits"]}
    families = [registry.family(name, manifests) for name in names("splits", manifests)]
    assert set(splits) == {f.split_id(p.name) for f in families for p in f.parts}
    assert splits["pacs/photo"] | {"at": "PACS", "state": "complete", "usable": True} == splits["pacs/photo"]
    assert splits["imagenet/train"]["state"] == "absent"
    suites = {one["suite"]: one for one in found["suites"]}
    assert suites["domainbed-pacs"]["can_run"]
    assert "imagenet/train" in suites["setup1"]["lacks"]
    assert set(suites["domainbed-pacs"]["needs"]) == {
        f"pacs/{d}" for d in ("art_painting", "cartoon", "photo", "sketch")
    }


def test_one_set_of_every_layout_is_found_as_what_it_is(croftbench, root, manifests):
    """The first family of each layout's name, alone on a disk: status finds every part of it (test_layouts: of all)."""
    families = [registry.family(name, manifests) for name in names("splits", manifests) if name != "imagenet-c"]
    first = {}
    for family in families:
        for layout in family.layouts:
            first.setdefault(layout.name, (family, layout))
    for name, (family, layout) in first.items():
        if layout.kind == "package":
            continue
        build(root / name, family, layout)
        code, out, err = croftbench("status", "--json", "--data-root", root / name)
        assert code == 0, err
        splits = {one["split"]: one for one in json.loads(out)["splits"]}
        parts = [splits[family.split_id(part.name)] for part in family.parts if layout.has(part.name)]
        assert all(part["usable"] for part in parts), (family.name, name, [part["message"] for part in parts])


def test_status_answers_without_torch(manifests, root):
    script = "import sys\nfrom croftbench.cli import main\ntry:\n    main()\n"
    script += "except SystemExit:\n    print('torch' in sys.modules)"
    environment = {**os.environ, "CROFTBENCH_MANIFESTS": str(manifests), "CROFTBENCH_DATA": str(root)}
    command = [sys.executable, "-c", script, "data", "status"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_root_that_is_not_there_is_one_line(croftbench, root):
    code, _, err = croftbench("status", "--data-root", root / "nowhere")
    assert code == 1
    assert "nowhere" in error_line(err)


# ------------------------------------------------------------------------------------------- verify


def test_verify_of_a_whole_family_exits_0(croftbench, lay):
    lay("pacs", "domainbed")
    code, out, err = croftbench("verify", "pacs")
    assert code == 0
    assert all(f"pacs/{domain}: complete" in out for domain in ("art_painting", "cartoon", "photo", "sketch"))
    assert "it can be used as it is" in out.splitlines()[-1]
    assert err == ""


def test_verify_names_what_is_missing_and_what_to_do(croftbench, lay, root):
    lay("pacs", "domainbed")
    (root / "PACS/photo/README.txt").write_text("about")
    next((root / "PACS/photo/dog").iterdir()).unlink()
    code, out, err = croftbench("verify", "pacs/photo")
    assert code == 1
    assert row(out, "dog") == ["dog", "1", "2"]
    assert "README.txt" in out
    assert "pacs/photo is incomplete" in error_line(err)
    assert "--allow-incomplete" in err
    assert croftbench("verify", "pacs/sketch")[0] == 0
    assert "1 of 4 splits" in error_line(croftbench("verify", "pacs")[2])


def test_verify_deep_names_what_cannot_be_decoded(croftbench, lay, root):
    lay("pacs", "domainbed")
    path = sorted((root / "PACS/photo/dog").iterdir())[0]
    os.truncate(path, path.stat().st_size // 2)
    assert croftbench("verify", "pacs/photo")[0] == 0
    code, out, err = croftbench("verify", "pacs/photo", "--deep")
    assert code == 1
    assert f"PACS/photo/dog/{path.name}" in out
    assert "11 of 12 images decoded" in out
    assert "1 image of pacs/photo cannot be decoded" in error_line(err)
    code, out, _ = croftbench("verify", "pacs/photo", "--deep", "--json")
    assert code == 1
    ((place,),) = (one["places"] for one in json.loads(out))
    assert place["unreadable"][0]["path"] == f"PACS/photo/dog/{path.name}"
    assert place["classes"][0] == {"id": "dog", "name": "dog", "images": 2, "expected": 2}


def test_verify_shows_both_of_two_layouts(croftbench, lay):
    lay("pacs", "domainbed")
    lay("pacs", "huggingface")
    code, out, _ = croftbench("verify", "pacs/photo")
    assert code == 0
    assert out.count("pacs/photo: complete") == 2
    assert out.count("the one that runs take") == 1


def test_verify_of_what_is_not_there_says_where_it_would_be(croftbench, root):
    code, out, err = croftbench("verify", "pacs/photo")
    assert code == 1
    assert f"{root}/PACS/<part>/" in out
    assert "croftbench data get pacs" in error_line(err)


def test_verify_without_a_root_is_a_usage_error(croftbench, monkeypatch):
    monkeypatch.delenv("CROFTBENCH_DATA")
    code, _, err = croftbench("verify", "pacs")
    assert code == 2
    assert "CROFTBENCH_DATA" in error_line(err)
    assert croftbench("verify", "emoji/noto", "--deep")[0] == 0


@pytest.mark.parametrize("verb", ["verify", "get", "describe"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pcas", "Did you mean 'pacs'"),
        ("pacs/foto", "Did you mean 'photo'"),
        ("imagnet/val", "Did you mean 'imagenet'"),
        ("", "unknown"),
        ("../pacs", "unknown"),
    ],
)
def test_a_misspelt_name_is_one_line_with_a_suggestion(croftbench, verb, name, says):
    code, out, err = croftbench(verb, name)
    assert code == 2
    assert says in error_line(err)
    assert out == ""


# ----------------------------------------------------------------------------------------- describe


def test_describe_a_split(croftbench):
    code, out, _ = croftbench("describe", "pacs")
    assert code == 0
    for text in ("pacs/photo", "licence: ", "@inproceedings{li2017deeper,", "PACS/<part>/", "croftbench data get pacs"):
        assert text in out
    assert row(out, "pacs/photo")[1:4] == ["12", "6", "2"]
    assert "pacs/sketch" not in croftbench("describe", "pacs/photo")[1]


def test_the_citation_is_ready_to_copy(croftbench):
    _, out, _ = croftbench("describe", "pacs")
    citation = out.split("cite:\n")[1]
    assert citation.strip() == registry.family("pacs").citation.strip()
    _, out, _ = croftbench("describe", "pacs", "--json")
    assert json.loads(out)["citation"] == registry.family("pacs").citation


def test_what_is_unverified_is_said(croftbench, monkeypatch):
    monkeypatch.delenv("CROFTBENCH_MANIFESTS")
    doubtful = [f for f in map(registry.family, names("splits")) if f.unverified]
    for family in doubtful:
        _, out, _ = croftbench("describe", family.name)
        assert f"unverified: {', '.join(family.unverified)}" in out


def test_describe_every_suite(croftbench, monkeypatch):
    monkeypatch.delenv("CROFTBENCH_MANIFESTS")
    for suite in names("suites"):
        code, out, err = croftbench("describe", suite)
        assert code == 0, err
        assert f"{suite} v" in out.splitlines()[0]
        assert "protocol: shots = " in out
        assert "licence of " in out
        assert "@" in out.split("cite:")[1] or suite.startswith("emoji")
        code, out, _ = croftbench("describe", suite, "--json")
        assert json.loads(out)["roles"]


def test_describe_a_suite_has_roles_and_numbers(croftbench, monkeypatch):
    monkeypatch.delenv("CROFTBENCH_MANIFESTS")
    _, out, _ = croftbench("describe", "setup1")
    assert "imagenet/train" in out
    assert "1,281,167" in out
    assert "covariate: " in out


# ---------------------------------------------------------------------------------------------- get


@pytest.fixture
def hub(monkeypatch):
    state = Loopback()
    running = state.serve()
    become_hub(monkeypatch, state.url)
    yield state
    running.shutdown()
    running.server_close()


@pytest.fixture
def published(hub, tmp_path, manifests):
    """PACS as its repository on the hub has it."""
    built = build(tmp_path / "elsewhere", registry.family("pacs", manifests), "huggingface")
    files = {str(p.relative_to(built.at)): p.read_bytes() for p in built.at.rglob("*") if p.is_file()}
    hub.repos["flwrlabs/pacs"] = files | {"README.md": b"# PACS"}
    return hub


def test_get_from_the_hub_and_verify(croftbench, published, root):
    code, out, err = croftbench("get", "pacs", writes=True)
    assert code == 0, err
    assert f"pacs is now in {root / 'pacs'}, from flwrlabs/pacs at 5e1f" in out
    assert "pacs/photo: complete" in out
    assert "Licence: " in err, "said before anything is fetched"
    assert [p.name for p in root.iterdir()] == ["pacs"]
    code, out, _ = croftbench("get", "pacs")
    assert code == 0
    assert "complete already" in out
    assert row(croftbench("status")[1], "domainbed-pacs") == ["domainbed-pacs", "can", "run"]


def test_get_with_a_damaged_file_is_one_line_and_the_next_try_goes_on(croftbench, published, root):
    (name,) = (name for name in published.repos["flwrlabs/pacs"] if name.endswith(".parquet"))
    published.corrupt.add(name)
    code, out, err = croftbench("get", "pacs", writes=True)
    assert code == 1
    assert "arrived damaged" in error_line(err)
    assert "is now in" not in out
    assert not (root / "pacs").exists()
    published.corrupt.clear()
    assert croftbench("get", "pacs", writes=True)[0] == 0
    assert [p.name for p in root.iterdir()] == ["pacs"]


def test_get_of_a_short_set_is_kept_and_said(croftbench, published, tmp_path, manifests, root):
    """The hub's own copy lacks images: it is put there, since it is what is published, and exit 1 says what lacks."""
    short = reduced(tmp_path / "short", images=1)
    built = build(tmp_path / "less", registry.family("pacs", short), "huggingface")
    (name,) = (name for name in published.repos["flwrlabs/pacs"] if name.endswith(".parquet"))
    published.repos["flwrlabs/pacs"][name] = next(built.at.rglob("*.parquet")).read_bytes()
    code, out, err = croftbench("get", "pacs", writes=True)
    assert code == 1
    assert "is now in" in out
    assert "is incomplete" in error_line(err)


def test_get_an_archive(croftbench, hub, root, tmp_path, manifests, monkeypatch):
    """ImageNet-A's archive, its address replaced by ours in a copy of the manifests."""
    import tarfile

    built = build(tmp_path / "elsewhere", registry.family("imagenet-a", manifests), "archive")
    with tarfile.open(tmp_path / "imagenet-a.tar", "w") as archive:
        archive.add(built.at, "imagenet-a")
    data = (tmp_path / "imagenet-a.tar").read_bytes()
    hub.files["/imagenet-a.tar"] = data
    own = reduced(tmp_path / "own")
    manifest = own / "splits/imagenet-a.toml"
    text = manifest.read_text()
    family = registry.family("imagenet-a", own)
    text = text.replace(family.get.urls[0], f"{hub.url}/imagenet-a.tar")
    text = text.replace(family.archives[0].md5, hashlib.md5(data).hexdigest())
    manifest.write_text(text.replace(family.archives[0].sha256, hashlib.sha256(data).hexdigest()))
    registry.family.cache_clear()
    monkeypatch.setenv("CROFTBENCH_MANIFESTS", str(own))
    hub.cut["/imagenet-a.tar"] = [2000]
    code, out, err = croftbench("get", "imagenet-a", writes=True)
    assert code == 0, err
    assert "imagenet-a: complete" in out
    assert [ranges for _, _, ranges in hub.asked] == ["", "bytes=2000-"]


def test_get_without_a_network_is_one_line(croftbench, root, monkeypatch):
    become_hub(monkeypatch, "http://127.0.0.1:9")
    code, _, err = croftbench("get", "pacs")
    assert code == 1
    assert "cannot download from http://127.0.0.1:9" in error_line(err)
    assert registry.family("pacs").homepage in err


def test_get_by_hand_says_where_to_go_and_where_to_put_it(croftbench, root):
    code, out, err = croftbench("get", "terra")
    assert code == 1
    assert registry.family("terra").homepage in out
    assert f"{root}/terra_incognita/" in out
    assert "croftbench data verify terra" in out
    assert "by a program" in error_line(err)


def test_get_never_touches_what_is_there(croftbench, published, root):
    (root / "pacs").mkdir()
    (root / "pacs/mine.txt").write_text("mine")
    code, _, err = croftbench("get", "pacs")
    assert code == 1
    assert "never overwritten" in error_line(err)


def test_get_of_what_ships_and_get_without_a_root(croftbench, monkeypatch):
    for name in ("emoji", "wordnet"):
        assert "ships with croftbench" in croftbench("get", name)[1]
    monkeypatch.delenv("CROFTBENCH_DATA")
    code, _, err = croftbench("get", "pacs")
    assert code == 2
    assert "--data-root" in error_line(err)


def test_a_killed_download_leaves_nothing_that_looks_whole(published, manifests, root):
    """The process is killed while the file arrives; the next one finishes the work."""
    (name,) = (name for name in published.repos["flwrlabs/pacs"] if name.endswith(".parquet"))
    published.stall[name] = 2000
    environment = {**os.environ, "CROFTBENCH_MANIFESTS": str(manifests), "CROFTBENCH_DATA": str(root)}
    command = [*COMMAND, "data", "get", "pacs"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    assert published.stalled.wait(60)
    process.kill()
    process.wait()
    published.stall.clear()
    assert [p.name for p in root.iterdir()] == [".croftbench-pacs.part"]
    done = subprocess.run(
        [*COMMAND, "data", "get", "pacs"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [p.name for p in root.iterdir()] == ["pacs"]


def test_a_guess_is_marked_and_the_line_that_confirms_it_can_be_copied(croftbench, root, lay):
    lay("dtd", "archive")
    (root / "dtd").rename(root / "dtd-r1.0.1")
    code, out, err = croftbench("status")
    assert code == 0
    assert out.count("(a guess)") == 2, "textures are taken out of the same images"
    assert "`croftbench data verify dtd/all` says of what" in err
    _, out, _ = croftbench("verify", "dtd/all", "--json")
    (note,) = (one for one in json.loads(out)[0]["places"][0]["notes"] if one["what"] == "guess")
    line = note["examples"][0].partition("in the data root: ")[2]
    (root / "croftbench.toml").write_text(line)
    assert croftbench("status")[1].count("(a guess)") == 1
    assert '"dtd-r1.0.1"' in line
