"""Every option of the command line, declared once: its flags, its variable, its help. Commands name what they take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from croftbench import texts
from croftbench.errors import UsageError, unknown
from croftbench.locations import CACHE, DATA, MANIFESTS, RESULTS

# ------------------------------------------------------------------------------------------- folders

Results = Annotated[
    str | None,
    typer.Option(
        "--results",
        "-r",
        metavar="PATH",
        help="Folder of runs and tables, or s3://bucket/folder.",
        envvar=RESULTS,
        show_default="results",
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="PATH",
        help="Folder of cached features, or s3://bucket/folder.",
        envvar=CACHE,
        show_default="the user's cache folder",
    ),
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
    typer.Option(
        "--method",
        "-m",
        help="Only these rows, as tables name them; separated by commas, 'croft*' for all of a kind.",
        show_default=False,
    ),
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
Encoders = Annotated[
    str,
    typer.Option(
        "--encoder",
        "-e",
        help="open_clip's arch/tag, arch@path/to/weights, or hf-hub:owner/name; several by commas.",
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
Scorer = Annotated[
    str | None,
    typer.Option("--scorer", help="Detection score, post-hoc ones too.", show_default="the suite's headline"),
]
AllowIncomplete = Annotated[
    bool, typer.Option("--allow-incomplete", help="Take splits that lack images; runs record it.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="Seconds for a method's own code in a run.", show_default="none"),
]
Isolate = Annotated[bool, typer.Option("--isolate", help="Each run in a process of its own, which may die alone.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="A smoke run of N images a split: never ranked.", show_default="all images"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="The table and errors only.")]
Force = Annotated[bool, typer.Option("--force", help="Run again what is finished, and replace it.")]

Shard = Annotated[
    str,
    typer.Option("--shard", help="Only part i/n of the plan, or auto: as torchrun, MPI or Slurm say.",
                 show_default="all"),
]  # fmt: skip
Where = Annotated[str, typer.Option("--launcher", help="Where runs execute: here, ray, slurm or local-slurm.")]
Address = Annotated[str, typer.Option("--address", help="Ray's cluster: local starts one, auto finds one.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Jobs of Slurm; encoders of Ray on CPUs.", show_default="what fits"),
]
Launch = Annotated[
    list[str] | None,
    typer.Option("--launch", help="name=value for Slurm (submitit) or Ray; repeatable.", show_default=False),
]


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take options from a file; what the command line says counts more."""
    if path is None:
        return None
    try:
        given = texts.toml(path)
    except (OSError, texts.TextError) as error:
        raise UsageError(
            f"--config {path} cannot be read: {error}".rstrip(".") + ".", "`--show-config` prints one."
        ) from error
    names = _option_names(context)
    for key in given:
        if key not in names:
            raise unknown(f"option in {path}", key, names)
    context.default_map = {names[key]: _as_typed(names[key], value) for key, value in given.items()}
    return path


def _option_names(context: typer.Context) -> dict[str, str]:
    """Long flags, without dashes, of what a file of options may say -> names of parameters."""
    flags = {max(p.opts, key=len).lstrip("-"): str(p.name) for p in context.command.params}
    return {flag: name for flag, name in flags.items() if name not in ("config", "show_config", "help")}


def _as_typed(name: str, value: Any) -> Any:
    """A value of a file as the command line gives it: lists are joined by commas, a table of settings is a list."""
    if name == "settings":
        return [f"{key}={one}" for key, one in value.items()] if isinstance(value, dict) else value
    return ",".join(map(str, value)) if isinstance(value, list) else value


def config_of(context: typer.Context) -> str:
    """What was asked, as a file for `--config`."""
    asked = ((flag, context.params.get(name)) for flag, name in _option_names(context).items())
    plain = ((flag, str(value) if isinstance(value, Path) else value) for flag, value in asked)
    return "\n".join(f"{flag} = {json.dumps(value)}" for flag, value in plain if value not in (None, "", False, [], ()))


Config = Annotated[
    Path | None,
    typer.Option("--config", help="A TOML file of these options.", callback=_read_config, is_eager=True,
                 show_default=False),
]  # fmt: skip
ShowConfig = Annotated[bool, typer.Option("--show-config", help="Print the options as such a file, and do nothing.")]

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


def methods_of(texts: list[str] | str | None) -> list[str]:
    """Names of rows, each once, as `names_of`; a comma before a setting does not separate: "croft, lambda2=0".

    Raises:
        UsageError: a text without a name.
    """
    names: list[str] = []
    for name in names_of(texts):
        if names and re.match(r"[A-Za-z_][\w.]*=|\d+ shots$", name):
            names[-1] += f", {name}"
        else:
            names.append(name)
    return names


def names_of(texts: list[str] | str | None) -> list[str]:
    """Names that commas separate, of one text or of several, each once.

    Raises:
        UsageError: a text without a name.
    """
    names: dict[str, None] = {}
    for text in [texts] if isinstance(texts, str) else texts or []:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise UsageError("an empty list of names was given.", "`croftbench list methods` shows what there is.")
        names |= dict.fromkeys(parts)
    return list(names)
