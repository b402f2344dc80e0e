"""Pages that are made from the code: methods, scores, suites, datasets, the command line, the Python API."""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import fmean

import click

import croftbench
from croftbench import plugins
from croftbench.cli import app
from croftbench.runs import costs, results
from croftbench.runs.results import RunResult

ROOT = Path(__file__).parents[2]
TYPES = (
    "croftbench.method.Task", "croftbench.method.Examples", "croftbench.method.Needs", "croftbench.method.Outputs",
    "croftbench.api.board.Leaderboard", "croftbench.errors.CroftbenchError",
)  # fmt: skip
"""What a method's author and a reader of results meet, beside the functions of the front door."""


def pages() -> dict[str, str]:
    """Path below docs -> Markdown."""
    return {
        "cards/methods.md": methods(),
        "cards/scores.md": scores(),
        "cards/suites.md": suites(),
        "cards/datasets.md": datasets(),
        "cli.md": commands(),
        "api.md": functions(),
    }


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; a bar within a cell is escaped."""
    lines = [[*head], ["---"] * len([*head])]
    lines += [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def methods() -> str:
    """One card a method: what it is, its paper, its needs, its equations as its file has them, its hyper-parameters."""
    parts = [
        "# Methods",
        "From `croftbench list methods --json`. How each was read and checked: [methods](../methods.md).",
    ]
    for row in croftbench.methods():
        parts += [f"## {row['name']}", row["what"], f"*{row['citation']}*", f"Needs: {row['needs'] or 'features'}."]
        parts += [_equations(row["name"])]
        parts += _cost(row["name"])
        if "…" not in row["name"]:
            rows = croftbench.hyperparameters(row["name"])
            cells = ([f"`{r['name']}`", r["type"], f"`{r['default']}`", r["range"], r["what"]] for r in rows)
            parts += [table(("hyper-parameter", "type", "default", "range", "meaning"), cells)] if rows else []
    return _page(parts)


def _cost(name: str) -> list[str]:
    """What the committed runs of it on the suites that ship took, and its memory; nothing where neither is known."""
    lines = []
    for suite in costs.SHIPPED:
        runs = [one for one in _runs(suite) if one.spec.method == name]
        if runs:
            passes = sorted({one.spec.params["epochs"] for one in runs if "epochs" in one.spec.params})
            fit, score = (fmean(one.timings[stage] for one in runs) for stage in ("fit", "score"))
            over = f"{' or '.join(map(str, passes))} passes over the training images, " if passes else ""
            took = f"{_seconds(fit)} to fit and {_seconds(score)} to score"
            lines += [f"`{suite}`: {over}{took} (mean of {len(runs)} runs)"]
    timed = [f"Cost on one thread of a CPU, features cached. {'; '.join(lines)}."] if lines else []
    return [" ".join(said)] if (said := [*timed, *_memory(name)]) else []


def _seconds(time: float) -> str:
    return f"{time:.3g} s" if time >= 0.01 else "less than 0.01 s"


def _memory(name: str) -> list[str]:
    """What benchmarks/memory.py measured of it; nothing where it has no row."""
    row = _memories().get(name)
    if row is None:
        return []
    if row["what"] == "a step":
        return [
            f"Memory at its peak: {row['megabytes']} MB for the process of one step on a ViT-B/16, four images and "
            f"forty classes, on a CPU; the towers' own forward and backward {row['megabytes_beside']} MB."
        ]
    beside = "" if name == row["beside"] else f"; of {row['beside']}, {row['megabytes_beside']} MB"
    return [f"Memory at its peak: {row['megabytes']} MB for the process of one run on `emoji-open`{beside}."]


@cache
def _memories() -> dict[str, dict[str, str]]:
    with (ROOT / "benchmarks/memory.csv").open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


@cache
def _runs(suite: str) -> list[RunResult]:
    return [*results.read_all(ROOT / "results", suite)]


def _equations(name: str) -> str:
    """The docstring of a method's file below its citation: equations, symbols, what differs from the authors' code."""
    targets = {**plugins.registered(), **{f"{name}+…": target for name, target in plugins.WRAPPERS.items()}}
    text = inspect.getdoc(import_module(targets[name].partition(":")[0])) or ""
    body = text.split("\n\n", 2)[2:]
    return f"```text\n{body[0].strip()}\n```" if body else ""


def scores() -> str:
    """One row a score."""
    rows = croftbench.scorers()
    cells = ([f"`{r['name']}`", r["what"], r["uses"], r["parameters"], r["citation"]] for r in rows)
    return _page([
        "# Scores",
        "From `croftbench list scorers --json`. Every score is higher for what looks known. How to choose one: "
        "[scores](../scores.md).",
        table(("score", "what it is", "uses", "parameters", "source"), cells),
    ])  # fmt: skip


def suites() -> str:
    """One card a suite: its folds and roles, its protocol, its prompts."""
    parts = ["# Suites", "From `croftbench data describe SUITE`, which also prints licences and BibTeX."]
    for row in croftbench.suites():
        described = croftbench.describe(row["name"])
        suite = described.suite
        parts += [f"## {suite.name}", f"{suite.title}.", f"Version {suite.version}: {row['protocol']}."]
        roles: dict[tuple[str, str], list[str]] = {}
        for fold, role, splits, what in described.roles():
            roles.setdefault((role, ", ".join(splits) or what), []).append(fold)
        cells = ([role, ", ".join(dict.fromkeys(folds)), what] for (role, what), folds in roles.items())
        parts += [table(("role", "folds", "splits"), cells)]
        parts += [f"Scores: {', '.join(suite.protocol.scorers)}; the headline is {suite.protocol.headline}."]
        parts += ["Prompts: " + ", ".join(f"`{prompt}`" for prompt in suite.templates) + "."] if suite.templates else []
        parts += [suite.notes.strip()] if suite.notes else []
    return _page(parts)


def datasets() -> str:
    """One card a family of splits: sizes, licence, source, citation."""
    parts = [
        "# Datasets",
        "From `croftbench data describe FAMILY`. Where they are looked for: [your data](../data.md).",
    ]
    for row in croftbench.splits():
        described = croftbench.describe(row["name"])
        family = described.family
        parts += [f"## {family.name}", f"{family.title}.", f"Licence: {family.licence}. Source: {family.source}."]
        cells = ([f"`{family.split_id(p.name)}`", f"{p.images:,}" if p.images else "?", len(p.members) or "-"]
                 for p in described.parts)  # fmt: skip
        parts += [table(("split", "images", "classes"), cells)]
        parts += [f"Unverified: {', '.join(family.unverified)}."] if family.unverified else []
        parts += [f"```bibtex\n{family.citation.strip()}\n```"]
    return _page(parts)


def commands() -> str:
    """Every command's own help."""
    whole = app.make_context("croftbench", [], resilient_parsing=True, terminal_width=78, max_content_width=78)
    return _page(["# Command line", "What `croftbench COMMAND --help` prints.", *_help(app, whole)])


def _help(group: click.Group, above: click.Context) -> list[str]:
    parts = []
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        context = command.make_context(name, [], above, resilient_parsing=True)
        parts += [f"## {context.command_path}", f"```text\n{command.get_help(context).strip()}\n```"]
        parts += _help(command, context) if isinstance(command, click.Group) else []
    return parts


def functions() -> str:
    """The front door, and the types that an author meets, for mkdocstrings to fill in."""
    parts = ["# Python", "`import croftbench` finds all of these. It imports no torch before a function needs it."]
    parts += ["## Functions", *(f"::: {_home(getattr(croftbench, name))}" for name in sorted(_front_door()))]
    parts += [
        "## Lists",
        table(("call", "lists"), ([f"`croftbench.{room}()`", _first(room)] for room in croftbench.ROOMS)),
    ]
    return _page([*parts, "## Types", *(f"::: {name}" for name in TYPES)])


def _front_door() -> list[str]:
    return [name for names in croftbench.HOMES.values() for name in names if name != "Leaderboard"]


def _home(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _first(room: str) -> str:
    return (inspect.getdoc(getattr(import_module("croftbench.api.inventory"), room)) or "").partition("\n")[0]


def _page(parts: Iterable[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)) + "\n"
