"""The command ``offramp``: finds its sub-commands and turns errors into one line.

Each package registers its sub-commands as entry points of the group ``offramp.commands``, so
that the shared package imports none of the parts and a device installs only what it runs.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, entry_points

import click

from offramp import __version__
from offramp.errors import OfframpError

__all__ = ["main"]

_GROUP = "offramp.commands"
_SHELLS = ("bash", "zsh", "fish")


class _Commands(click.Group):
    """Sub-commands from entry points, loaded when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_entry_points(), *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = _entry_points().get(cmd_name)
        if found is None:
            return super().get_command(ctx, cmd_name)
        command = found.load()
        return command if isinstance(command, click.Command) else None


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="offramp %(version)s")
def _offramp() -> None:
    """Run one neural network across a device and an edge server, with early exits.

    Start with `offramp demo`. Then `offramp compile` turns a PyTorch model into a bundle,
    `serve` runs its tail, `run` streams samples through its head.
    """


@_offramp.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes offramp's words in a shell.

    Add it to the shell's start-up file, such as: offramp completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(_offramp, {}, "offramp", "_OFFRAMP_COMPLETE").source())


def main() -> None:
    """Run the command line; every foreseen error ends in one sentence and its exit code."""
    try:
        _offramp(prog_name="offramp")
    except OfframpError as error:
        click.echo("offramp: " + " ".join(str(error).split()), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _entry_points() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUP)}
