"""The command line. Data on stdout, progress and errors on stderr; exit 0 done, 1 failed, 2 usage, 130 interrupted.

A command is imported when it is called: `croftbench --help` knows each by its line here.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

import click

from croftbench import __version__
from croftbench.cli.help import HELP, Group, epilog, example
from croftbench.errors import CroftbenchError
from croftbench.progress import complain

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

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

VARIABLE = "_CROFTBENCH_COMPLETE"
"""Set by the completion that a shell has of croftbench, see `croftbench.cli.completion`."""


class Commands(Group):
    """The group of all commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a first visit."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"croftbench.cli.{module}"), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a shell offers here: commands, without importing one, and options."""
        from click.shell_completion import CompletionItem

        named = [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _completion(context: click.Context, option: click.Parameter, asked: bool) -> None:
    """What `--show-completion` and `--install-completion` do."""
    if asked:
        from croftbench.cli import completion

        click.echo(completion.install() if option.name == "install_completion" else completion.script())
        context.exit()


@click.group(
    cls=Commands,
    context_settings=HELP,
    epilog=epilog(
        "croftbench run -m zero-shot,croft\ncroftbench leaderboard emoji-open\ncroftbench run --help\n\n"
        "--traceback, anywhere on the line, shows where an error came from."
    ),
)
@click.version_option(__version__, message="croftbench %(version)s", help="Print the version.")
@click.option(
    "--install-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_completion,
    help="Install completion for the current shell.",
)
@click.option(
    "--show-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_completion,
    help="Show completion for the current shell, to copy it or customize the installation.",
)
def app() -> None:
    """Vision-language models under covariate and semantic shift, in one run."""


def _told(error: click.UsageError) -> str:
    """What is wrong. What an unknown option may have been: Click counts its dashes, and takes --cache for --help."""
    if not isinstance(error, click.NoSuchOption):
        return error.format_message()
    from difflib import get_close_matches

    others = {one.lstrip("-"): one for one in error.possibilities or ()}
    like = [others[one] for one in get_close_matches(error.option_name.lstrip("-"), others, cutoff=0.65)]
    return click.NoSuchOption(error.option_name, possibilities=like, ctx=error.ctx).format_message()


def _next(error: click.UsageError) -> str:
    """What to type after a usage error: an example of the command, and where all its options are."""
    context = error.ctx
    missing = example(context.command) if context and isinstance(error, click.MissingParameter) else ""
    told = f"Example: `{missing}`. " if missing else ""
    return f"{told}See `{context.command_path if context else 'croftbench'} --help`."


def _run(arguments: list[str]) -> int:
    """The exit code of a command line, or what its command raised, as it was raised.

    `app.main` would turn Ctrl-C, the end of a file and a closed pipe into errors of its own.
    """
    if VARIABLE in os.environ:  # a shell asks what could come next on its line
        app.main(arguments, prog_name="croftbench")
    try:
        with app.make_context("croftbench", arguments) as context:
            app.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return 0


def main() -> None:
    """Entry point of the `croftbench` command."""
    trace = "--traceback" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--traceback"] or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks ends no command
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(arguments)
    except CroftbenchError as error:
        code = error.exit_code
        complain(error.message, error.hint)
        if trace:
            traceback.print_exc()
    except (KeyboardInterrupt, click.Abort):  # Ctrl-C, or "no" to a question
        code = 130
        complain("interrupted.", "Finished runs are kept; the same command goes on from there.")
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
    except click.exceptions.NoArgsIsHelpError as error:
        code = error.exit_code
        print(error.format_message(), file=sys.stderr)
    except click.UsageError as error:
        code = error.exit_code
        told = " ".join(_told(error).split())
        complain(told if told.endswith((".", "?")) else f"{told}.", _next(error))
        if trace:
            traceback.print_exc()
    except Exception as error:
        code = 1
        complain(f"{type(error).__name__}: {error}".replace("\n", " "), "This is a bug; --traceback shows where.")
        if trace:
            traceback.print_exc()
    sys.exit(code)
