"""The command line. Data on stdout, progress and errors on stderr; exit 0 done, 1 failed, 2 usage, 130 interrupted."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from croftbench.cli import (
    bundle,
    cache,
    check,
    compare,
    data,
    diagnose,
    leaderboard,
    listing,
    plot,
    report,
    reproduce,
    run,
    show,
    tune,
)
from croftbench.cli.console import complain
from croftbench.errors import CroftbenchError

app = typer.Typer(
    name="croftbench",
    help="Vision-language models under covariate and semantic shift, in one run.",
    epilog="--traceback, anywhere on the line, shows where an error came from.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("tune")(tune.tune)
app.command("diagnose")(diagnose.diagnose)
app.command("list")(listing.list_names)
app.command("show")(show.show)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("reproduce")(reproduce.reproduce)
app.command("plot")(plot.plot)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("export")(bundle.export)
app.command("import")(bundle.import_bundle)
app.command("check")(check.check)
app.add_typer(cache.app, name="cache")
app.add_typer(data.app, name="data")


def main() -> None:
    """Entry point of the `croftbench` command."""
    trace = "--traceback" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--traceback"] or ["--help"]
    try:
        code = app(arguments, standalone_mode=False) or 0
        if code == 130:  # how some versions of Typer report Ctrl-C
            raise KeyboardInterrupt
    except CroftbenchError as error:
        code = error.exit_code
        complain(error.message, error.hint)
        if trace:
            traceback.print_exc()
    except (KeyboardInterrupt, typer.Abort):
        code = 130
        complain("interrupted.", "Finished runs are kept; the same command goes on from there.")
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        usage = getattr(error, "format_message", None)  # Click's usage errors; Typer may carry its own copy of Click
        code = 2 if usage else 1
        if usage:
            complain(usage().replace("\n", " "), "See `croftbench --help`.")
        else:
            complain(f"{type(error).__name__}: {error}".replace("\n", " "), "This is a bug; --traceback shows where.")
        if trace:
            traceback.print_exc()
    sys.exit(code)
