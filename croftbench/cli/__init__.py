"""The command line. Data on stdout, progress and errors on stderr; exit 0 done, 1 failed, 2 usage, 130 interrupted.

A command is imported when it is called: `croftbench --help` knows each by its line here.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from croftbench import __version__
from croftbench.cli.help import HELP, alone, epilog
from croftbench.errors import CroftbenchError
from croftbench.progress import complain

COMMANDS = {
    "run": ("run:run", "Train and evaluate methods; finished runs are found."),
    "leaderboard": ("leaderboard:leaderboard", "Rebuild and print the tables."),
    "compare": ("compare:compare", "Is one method better than another, or is it noise?"),
    "plot": ("plot:plot", "Draw one picture of a suite's runs."),
    "report": ("report:report", "Write tables, pictures and run cards as one HTML page."),
    "show": ("show:show", "Show one run, whole."),
    "list": ("listing:list_names", "List methods, suites, splits, scorers or encoders."),
    "tune": ("tune:tune", "Choose hyper-parameters on training images alone."),
    "diagnose": ("diagnose:diagnose", "Measure CRoFT's claim on energy gradients and Hessians."),
    "reproduce": ("reproduce:reproduce", "Run a published row; hold it against its band."),
    "evaluate": ("evaluate:evaluate", "The numbers of predictions made elsewhere."),
    "rm": ("rm:rm", "Move runs into the trash, by method or by id."),
    "export": ("export:export", "Write runs to one file that others can check and merge."),
    "import": ("import_runs:import_runs", "Check the runs of such a file and add them."),
    "new": ("new:new", "Write a first method, score or suite of your own."),
    "check": ("check:check", "Check manifests, a method or score, or every stored number."),
    "doctor": ("doctor:doctor", "Versions, devices, folders: text for a bug report."),
    "data": ("data:app", "Data sets: what is here, is it whole, how to get it."),
    "cache": ("cache:app", "Cached features and outputs: list, size, prune."),
}
"""Name -> module and function below `croftbench.cli`, and what the list of commands says."""


BUG = "This is a bug; --traceback shows where."


class Commands(TyperGroup):
    """The group of all commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of a first visit."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        """The command of that name, None where there is none."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        home = import_module(f"croftbench.cli.{module}")
        command = getattr(home, attribute)
        return typer.main.get_command(command if isinstance(command, typer.Typer) else alone(command, home))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(
    name="croftbench",
    cls=Commands,
    help="Vision-language models under covariate and semantic shift, in one run.",
    epilog=epilog(
        "croftbench run -m zero-shot,croft\ncroftbench leaderboard emoji-open\ncroftbench run --help\n\n"
        "--traceback, anywhere on the line, shows where an error came from."
    ),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=HELP,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"croftbench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Vision-language models under covariate and semantic shift, in one run."""


def _next(error: Any) -> str:
    """What to type after a usage error: an example of the command, and where all its options are."""
    path = getattr(getattr(error, "ctx", None), "command_path", "croftbench")
    name = path.removeprefix("croftbench").strip()
    missing = "Missing" in type(error).__name__ and name in COMMANDS
    home = import_module(f"croftbench.cli.{COMMANDS[name][0].partition(':')[0]}") if missing else None
    example = f"Example: `{home.EXAMPLES.strip().splitlines()[0]}`. " if home else ""
    return f"{example}See `{path} --help`."


def main() -> None:
    """Entry point of the `croftbench` command."""
    trace = "--traceback" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--traceback"] or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks ends no command
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, prog_name="croftbench", standalone_mode=False) or 0
        if code == 130:  # how some versions of Typer report Ctrl-C
            raise KeyboardInterrupt
    except CroftbenchError as error:
        code = error.exit_code
        complain(error.message, error.hint)
        if trace:
            traceback.print_exc()
    except (KeyboardInterrupt, typer.Abort) as error:
        ended = isinstance(error.__cause__, EOFError)  # Click takes the end of any file for Ctrl-C
        code = 1 if ended else 130
        if ended:
            complain(f"EOFError: {error.__cause__}", BUG)
        else:
            complain("interrupted.", "Finished runs are kept; the same command goes on from there.")
        if trace and ended:
            traceback.print_exc()
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        code = 1
        name = str(error.filename or "")
        name = name if len(name) < 200 else f"{name[:150]}... ({len(name):,} characters)"
        complain(
            f"cannot use {name}: {error.strerror}." if name else f"{error}.", "Check the path; --traceback says more."
        )
        if trace:
            traceback.print_exc()
    except Exception as error:
        usage = getattr(error, "format_message", None)  # Click's usage errors; Typer may carry its own copy of Click
        code = 2 if usage else 1
        if usage and type(error).__name__ == "NoArgsIsHelpError":
            print(usage(), file=sys.stderr)
        elif usage:
            complain(" ".join(usage().split()), _next(error))
        else:
            complain(f"{type(error).__name__}: {error}".replace("\n", " "), BUG)
        if trace:
            traceback.print_exc()
    sys.exit(code)
