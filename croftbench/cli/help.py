"""How help looks: plain text that fits 80 columns and ends in examples."""

from __future__ import annotations

import click

from croftbench.errors import unknown

HELP = {"help_option_names": ["-h", "--help"], "show_default": True}
"""Settings of the outermost group; every command below takes them over."""


class Group(click.Group):
    """Commands in the order in which they were added; Click's own sorts them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a first visit."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the line names.

        Raises:
            UsageError: there is none of that name; the message has the closest one, or all.
        """
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown("command", args[0], names)
        return super().resolve_command(ctx, args)


def epilog(examples: str) -> str:
    """Examples as the last paragraph of a help text, line by line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines())


def example(command: click.Command) -> str:
    """The first example of a command's help; "" where it has none."""
    return (command.epilog or "").partition("Examples:\n  ")[2].partition("\n")[0]
