"""croftbench: vision-language models under covariate and semantic shift, in one run.

    import croftbench

    board = croftbench.run(["zero-shot", "croft", MyMethod(alpha=3)], suite="emoji-open")
    board.table

What the command line does is a function here; `croftbench.api` has the types. Importing croftbench imports no torch:
what a function needs is imported when it is called. `croftbench.methods()`,
`croftbench.scorers()`, `croftbench.suites()` and `croftbench.encoders()` list what those packages hold.
What a user can mend is a `croftbench.CroftbenchError`, whose kinds are in `croftbench.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from croftbench.errors import CroftbenchError

if TYPE_CHECKING:
    from croftbench.api.board import Leaderboard as Leaderboard
    from croftbench.api.checking import check as check
    from croftbench.api.checking import check_method as check_method
    from croftbench.api.checking import check_scorer as check_scorer
    from croftbench.api.disk import cached as cached
    from croftbench.api.disk import data_status as data_status
    from croftbench.api.disk import find_runs as find_runs
    from croftbench.api.disk import get_data as get_data
    from croftbench.api.disk import prune_cache as prune_cache
    from croftbench.api.disk import remove_runs as remove_runs
    from croftbench.api.disk import verify_data as verify_data
    from croftbench.api.doctoring import doctor as doctor
    from croftbench.api.evaluating import evaluate as evaluate
    from croftbench.api.foreseeing import forecast as forecast
    from croftbench.api.inventory import describe as describe
    from croftbench.api.inventory import hyperparameters as hyperparameters
    from croftbench.api.inventory import load_suite as load_suite
    from croftbench.api.inventory import splits as splits
    from croftbench.api.own_images import describe_folder as describe_folder
    from croftbench.api.own_images import new_suite as new_suite
    from croftbench.api.reading import compare as compare
    from croftbench.api.reading import leaderboard as leaderboard
    from croftbench.api.reading import load_run as load_run
    from croftbench.api.reading import load_runs as load_runs
    from croftbench.api.reading import plot as plot
    from croftbench.api.reading import stale_tables as stale_tables
    from croftbench.api.reading import write_page as write_page
    from croftbench.api.reproducing import command_of as command_of
    from croftbench.api.reproducing import reproduce as reproduce
    from croftbench.api.reproducing import reproduce_run as reproduce_run
    from croftbench.api.running import run as run
    from croftbench.api.score_files import evaluate_file as evaluate_file
    from croftbench.api.sharing import export_runs as export_runs
    from croftbench.api.sharing import import_runs as import_runs
    from croftbench.api.starting import new_method as new_method
    from croftbench.api.starting import new_scorer as new_scorer
    from croftbench.api.starting import new_suite_file as new_suite_file
    from croftbench.api.studying import diagnose as diagnose
    from croftbench.api.studying import tune as tune

__version__ = "0.3.0"

HOMES = {
    "board": ("Leaderboard",),
    "checking": ("check", "check_method", "check_scorer"),
    "disk": ("cached", "data_status", "find_runs", "get_data", "prune_cache", "remove_runs", "verify_data"),
    "doctoring": ("doctor",),
    "inventory": ("describe", "hyperparameters", "load_suite", "splits"),
    "reading": (
        "compare", "leaderboard", "load_run", "load_runs", "plot", "stale_tables",
        "write_page",
    ),
    "evaluating": ("evaluate",),
    "foreseeing": ("forecast",),
    "own_images": ("describe_folder", "new_suite"),
    "reproducing": ("command_of", "reproduce", "reproduce_run"),
    "running": ("run",),
    "score_files": ("evaluate_file",),
    "sharing": ("export_runs", "import_runs"),
    "starting": ("new_method", "new_scorer", "new_suite_file"),
    "studying": ("diagnose", "tune"),
}  # fmt: skip
"""Module of `croftbench.api` -> what it gives to this package."""

ROOMS = ("encoders", "methods", "scorers", "suites")
"""Packages that can be called for a list of what they hold: see `croftbench.rooms`."""

__all__ = ["CroftbenchError", "__version__", *ROOMS, *(name for names in HOMES.values() for name in names)]


def __getattr__(name: str) -> Any:
    """What is public, imported when it is asked for."""
    if name in ROOMS:
        return import_module(f"croftbench.{name}")
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"croftbench.api.{home}"), name)
    raise AttributeError(f"module 'croftbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
