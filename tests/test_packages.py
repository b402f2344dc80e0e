"""Entry points are found wherever importlib.metadata finds them, and it is not imported where there are none."""

import subprocess
import sys
import zipfile

import pytest

from croftbench.packages import entry_points

GROUP = "croftbench.methods"
DECLARED = f"[{GROUP}]\ntip = tips:Tip\n"
METADATA = "Metadata-Version: 2.1\nName: tips\nVersion: 1.0\n"


@pytest.mark.parametrize(("record", "metadata"), [("tips-1.0.dist-info", "METADATA"), ("tips.egg-info", "PKG-INFO")])
def test_a_package_in_a_folder(monkeypatch, tmp_path, record, metadata):
    (tmp_path / record).mkdir()
    (tmp_path / record / metadata).write_text(METADATA)
    (tmp_path / record / "entry_points.txt").write_text(DECLARED)
    monkeypatch.syspath_prepend(tmp_path)
    assert [(one.name, one.value) for one in entry_points(GROUP)] == [("tip", "tips:Tip")]


def test_a_package_in_an_archive(monkeypatch, tmp_path):
    path = tmp_path / "tips.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tips-1.0.dist-info/METADATA", METADATA)
        archive.writestr("tips-1.0.dist-info/entry_points.txt", DECLARED)
    monkeypatch.syspath_prepend(path)
    assert [one.value for one in entry_points(GROUP)] == ["tips:Tip"]


def test_listing_methods_imports_neither_records_nor_tables(tmp_path):
    never = {"torch", "rich", "pydantic", "importlib.metadata", "croftbench.files"}
    code = "import sys; sys.argv[1:] = ['list', 'methods']\nfrom croftbench.cli import main\n"
    code += f"try: main()\nexcept SystemExit: print(sorted({never} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"
