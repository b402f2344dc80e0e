"""Every option of the command line, declared once: its flags, its variable, its help. Commands stack what they take.

An option without a default is None, or an empty tuple where it may be repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click

from croftbench.defaults import CACHE, DATA, DEVICE, EMBEDDED, ENCODER, MANIFESTS, RESULTS
from croftbench.errors import UsageError, unknown

PATH = click.Path(path_type=Path, readable=False)
"""Any path; what reads or writes it says what is wrong with it."""

COUNT, AMOUNT = click.IntRange(min=1), click.FloatRange(min=0)
COUNT.name, AMOUNT.name = "integer", "number"  # in help and in errors, where Click would say "integer range"

# ------------------------------------------------------------------------------------------- folders

_results = partial(
    click.option,
    "--results",
    "-r",
    metavar="PATH",
    help="Folder of runs and tables, or s3://bucket/folder.",
    envvar=RESULTS,
    show_envvar=True,
    show_default="results",
)
results = _results()
results_or_usual = _results(is_flag=False, flag_value="")  # `--results` alone is "": the folder that others read
cache = click.option(
    "--cache",
    metavar="PATH",
    help="Folder of cached features, or s3://bucket/folder.",
    envvar=CACHE,
    show_envvar=True,
    show_default="the user's cache folder",
)
data_root = click.option("--data-root", type=PATH, help="Folder of datasets; only read.", envvar=DATA, show_envvar=True)
manifests = click.option(
    "--manifests",
    type=PATH,
    help="Manifests of your own: a folder, or a suite's file.",
    envvar=MANIFESTS,
    show_envvar=True,
)

# ------------------------------------------------------------------------------------------- what to run

methods = click.option(
    "--method", "-m", required=True, help="Names separated by commas, 'all', or path/to/file.py:Class."
)
method_filter = click.option(
    "--method",
    "-m",
    multiple=True,
    help="Only these rows, as tables name them; separated by commas, 'croft*' for all of a kind.",
)
suites = click.option(
    "--suite",
    "-s",
    default="emoji-open",
    help="Names separated by commas, 'all' with data, or path/to/suite.toml.",
)
suite_filter = click.option(
    "--suite",
    "-s",
    multiple=True,
    help="Only these; separated by commas or repeated.",
    show_default="all with runs",
)
one_suite = click.option("--suite", "-s", default="emoji-open", help="A suite's name, or path/to/suite.toml.")
suite_names = click.argument("suites", nargs=-1, help="Names or paths of suites.  [default: (all with runs)]")

_encoder = partial(click.option, "--encoder", "-e", default=EMBEDDED, envvar=ENCODER, show_envvar=True)
_ENCODER = "open_clip's arch/tag, arch@path/to/weights, or hf-hub:owner/name"
encoder = _encoder(help=f"{_ENCODER}.")
encoders = _encoder(help=f"{_ENCODER}; several by commas.")
preprocess = click.option(
    "--preprocess",
    default="",
    help="Pixels for the encoder: a JSON or TOML file, or an arch/tag that has them.",
    show_default="the encoder's own",
)
device = click.option(
    "--device",
    "-d",
    default="auto",
    help="auto, cpu, cuda, cuda:1 or mps.",
    envvar=DEVICE,
    show_envvar=True,
)
seeds = click.option("--seeds", default="", help="Separated by commas.", show_default="the suite's own")
shots = click.option("--shots", type=COUNT, help="Training images per class.", show_default="the suite's")
views = click.option("--views", type=COUNT, help="Cached training views.", show_default="the suite's")
recipe = click.option(
    "--recipe",
    help="Hyper-parameters by name: 'authors', each method's own paper; 'croft-comparison', CRoFT's for all.",
    show_default="the suite's",
)
settings = click.option("--set", "settings", multiple=True, help="[method.]hyper-parameter=value; repeatable.")
scores = click.option(
    "--scorers",
    "scores",
    default="",
    help="More scores of finished runs: 'all', or as in energy:T=0.5,knn:k=10.",
    show_default=False,
)
scorer = click.option("--scorer", help="Detection score, post-hoc ones too.", show_default="the suite's headline")
allow_incomplete = click.option(
    "--allow-incomplete", is_flag=True, help="Take splits that lack images; runs record it."
)
timeout = click.option("--timeout", type=AMOUNT, help="Seconds for a method's own code in a run.", show_default="none")
isolate = click.option("--isolate", is_flag=True, help="Each run in a process of its own, which may die alone.")
limit = click.option(
    "--limit", type=COUNT, help="A smoke run of N images a split: never ranked.", show_default="all images"
)
dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
quiet = click.option("--quiet", "-q", is_flag=True, help="The table and errors only.")
force = click.option("--force", is_flag=True, help="Run again what is finished, and replace it.")

shard = click.option(
    "--shard",
    default="",
    help="Only part i/n of the plan, or auto: as torchrun, MPI or Slurm say.",
    show_default="all",
)
launcher = click.option("--launcher", default="here", help="Where runs execute: here, ray, slurm or local-slurm.")
address = click.option("--address", default="local", help="Ray's cluster: local starts one, auto finds one.")
workers = click.option(
    "--workers", type=COUNT, help="Jobs of Slurm; encoders of Ray on CPUs.", show_default="what fits"
)
launch = click.option("--launch", multiple=True, help="name=value for Slurm (submitit) or Ray; repeatable.")


def _read_config(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Take options from a file; what the command line says counts more."""
    if path is None:
        return None
    from croftbench import texts

    try:
        given = texts.toml(path)
    except (OSError, texts.TextError) as error:
        raise UsageError(
            f"--config {path} cannot be read: {error}".rstrip(".") + ".", "`--show-config` prints one."
        ) from error
    known = _in_files(context)
    for key in given:
        if key not in known:
            raise unknown(f"option in {path}", key, known)
    context.default_map = {known[key].name: _as_typed(known[key], value) for key, value in given.items()}
    return path


def _in_files(context: click.Context) -> dict[str, click.Parameter]:
    """Long flags, without dashes, of what a file of options may say."""
    flags = {max(one.opts, key=len).lstrip("-"): one for one in context.command.params}
    return {flag: one for flag, one in flags.items() if flag not in ("config", "show-config")}


def _as_typed(option: click.Parameter, value: Any) -> Any:
    """A value of a file as the command line gives it: a table is a list of settings, other lists have commas."""
    if isinstance(value, dict):
        value = [f"{key}={one}" for key, one in value.items()]
    if isinstance(value, list) and not option.multiple:
        return ",".join(map(str, value))
    return value


def config_of(context: click.Context) -> str:
    """What was asked, as a file for `--config`."""
    asked = ((flag, context.params.get(option.name)) for flag, option in _in_files(context).items())
    plain = ((flag, str(value) if isinstance(value, Path) else value) for flag, value in asked)
    return "\n".join(f"{flag} = {json.dumps(value)}" for flag, value in plain if value not in (None, "", False, ()))


config = click.option("--config", type=PATH, help="A TOML file of these options.", callback=_read_config, is_eager=True)
show_config = click.option("--show-config", is_flag=True, help="Print the options as such a file, and do nothing.")

# ------------------------------------------------------------------------------------------- what to print

as_json = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")


def seeds_of(text: str) -> list[int] | None:
    """Whole numbers separated by commas; None for an empty text.

    Raises:
        UsageError: anything else.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()] or None
    except ValueError:
        raise UsageError(f"--seeds {text} is not a list of whole numbers.", "Example: --seeds 1,2,3") from None


def methods_of(given: Iterable[str] | str | None) -> list[str]:
    """Names of rows, each once, as `names_of`; a comma before a setting does not separate: "croft, lambda2=0".

    Raises:
        UsageError: a text without a name.
    """
    names: list[str] = []
    for name in names_of(given):
        if names and re.match(r"[A-Za-z_][\w.]*=|\d+ shots$", name):
            names[-1] += f", {name}"
        else:
            names.append(name)
    return names


def names_of(given: Iterable[str] | str | None) -> list[str]:
    """Names that commas separate, of one text or of several, each once.

    Raises:
        UsageError: a text without a name.
    """
    names: dict[str, None] = {}
    for text in [given] if isinstance(given, str) else given or []:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise UsageError("an empty list of names was given.", "`croftbench list methods` shows what there is.")
        names |= dict.fromkeys(parts)
    return list(names)
