"""Every option of the command line, declared once: its flags, its variable, its help. Commands name what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.errors import UsageError
from croftbench.locations import CACHE, DATA, MANIFESTS, RESULTS

# ------------------------------------------------------------------------------------------- folders

Results = Annotated[
    Path | None,
    typer.Option("--results", "-r", help="Folder of runs and tables.", envvar=RESULTS, show_default="results"),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", help="Folder of cached features.", envvar=CACHE, show_default="the user's cache folder"),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", help="Folder of datasets; only read.", envvar=DATA, show_default=False),
]
Manifests = Annotated[
    Path | None,
    typer.Option(
        "--manifests", help="Manifests of your own: a folder, or a suite's file.", envvar=MANIFESTS, show_default=False
    ),
]

# ------------------------------------------------------------------------------------------- what to run

Methods = Annotated[
    str, typer.Option("--method", "-m", help="Names separated by commas, 'all', or path/to/file.py:Class.")
]
MethodFilter = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="Only these; separated by commas or repeated.", show_default=False),
]
Suites = Annotated[
    str, typer.Option("--suite", "-s", help="Names separated by commas, 'all' with data, or path/to/suite.toml.")
]
SuiteFilter = Annotated[
    list[str] | None,
    typer.Option("--suite", "-s", help="Only these; separated by commas or repeated.", show_default="all with runs"),
]
OneSuite = Annotated[str, typer.Option("--suite", "-s", help="A suite's name, or path/to/suite.toml.")]
SuiteNames = Annotated[list[str] | None, typer.Argument(help="Names or paths of suites.", show_default="all with runs")]
Encoder = Annotated[
    str,
    typer.Option(
        "--encoder",
        "-e",
        help="open_clip's arch/tag, arch@path/to/weights, or hf-hub:owner/name.",
        envvar="CROFTBENCH_ENCODER",
    ),
]
Preprocess = Annotated[
    str,
    typer.Option(
        "--preprocess",
        help="Pixels for the encoder: a JSON or TOML file, or an arch/tag that has them.",
        show_default="the encoder's own",
    ),
]
Device = Annotated[
    str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1 or mps.", envvar="CROFTBENCH_DEVICE")
]
Seeds = Annotated[str, typer.Option("--seeds", help="Separated by commas.", show_default="the suite's own")]
Shots = Annotated[
    int | None, typer.Option("--shots", min=1, help="Training images per class.", show_default="the suite's")
]
Views = Annotated[int | None, typer.Option("--views", min=1, help="Cached training views.", show_default="the suite's")]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="Hyper-parameters by name: 'authors', each method's own paper; 'croft-comparison', CRoFT's for all.",
        show_default="the suite's",
    ),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="[method.]hyper-parameter=value; repeatable.", show_default=False)
]
Scores = Annotated[
    str,
    typer.Option(
        "--scorers",
        help="More scores of finished runs: 'all', or as in energy:T=0.5,knn:k=10.",
        show_default=False,
    ),
]
AllowIncomplete = Annotated[
    bool, typer.Option("--allow-incomplete", help="Take splits that lack images; runs record it.")
]

# ------------------------------------------------------------------------------------------- what to print

Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def seeds_of(text: str) -> list[int] | None:
    """Whole numbers separated by commas; None for an empty text.

    Raises:
        UsageError: anything else.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()] or None
    except ValueError:
        raise UsageError(f"--seeds {text} is not a list of whole numbers.", "Example: --seeds 1,2,3") from None


def names_of(texts: list[str] | str | None) -> list[str]:
    """Names that commas separate, of one text or of several, each once.

    Raises:
        UsageError: a text without a name.
    """
    names: dict[str, None] = {}
    for text in [texts] if isinstance(texts, str) else texts or []:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise UsageError("an empty list of names was given.", "`croftbench list` shows what there is.")
        names |= dict.fromkeys(parts)
    return list(names)
