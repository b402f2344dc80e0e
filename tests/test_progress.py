"""What is said while work goes on: nothing of what is cached, plain lines in a file."""

from __future__ import annotations

import io

from rich.console import Console

from croftbench import progress


def drawn(monkeypatch, terminal):
    bars = progress.Bars()
    bars.console.file = io.StringIO()
    bars.console._force_terminal = terminal
    monkeypatch.setattr(progress, "EVERY", 0)
    return bars, bars.console


def test_a_file_gets_plain_lines_with_the_run_and_how_far_it_is(monkeypatch):
    bars, console = drawn(monkeypatch, False)
    with bars:
        bars.begin("run 2 of 6")
        bars.stage("encoding near", 390)  # cached: no step is taken
        bars.stage("scoring", 0)
        bars.stage("training croft, seed 1", 10)
        bars.advance(4)
        bars.note("run 2 of 6: croft, seed 1: ID 55.0")
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("run 2 of 6: training croft, seed 1: 4 of 10, ")
    assert lines[0].endswith(" s left")
    assert "\x1b" not in console.file.getvalue()


def test_a_terminal_draws_no_bar_for_what_is_cached(monkeypatch):
    bars, _ = drawn(monkeypatch, True)
    assert isinstance(bars.console, Console)
    with bars:
        bars.stage("encoding near", 390)
        bars.stage("scoring", 0)
        assert not bars.bars.live.is_started
        bars.stage("training", 3)
        bars.advance()
        (task,) = bars.bars.tasks
        assert (task.description, task.completed, task.total) == ("training", 1, 3)
        bars.stage("encoding far", 10)
        assert not bars.bars.tasks, "the bar goes with its stage"
