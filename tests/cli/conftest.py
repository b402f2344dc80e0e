"""The command line, in this process."""

import sys

import pytest

from croftbench import cli
from croftbench.cli import console  # noqa: F401  its width is read once, before a test sets COLUMNS


@pytest.fixture
def croftbench(monkeypatch, capsys, cache, tmp_path):
    """Run a command: (exit code, stdout, stderr). Features are cached for the session, results are this test's own."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["croftbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    monkeypatch.setenv("CROFTBENCH_CACHE", str(cache))
    monkeypatch.setenv("CROFTBENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("COLUMNS", "200")
    return call
