"""The sub-commands of ``offramp``, and what a user sees of their errors.

Each package registers its sub-commands as entry points of the group ``offramp.commands``, so
that the shared package imports none of the parts and a device installs only what it runs.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

import click

from offramp import __version__
from offramp.errors import ConfigError, OfframpError
from offramp.names import printable

__all__ = ["run_command"]

_GROUP = "offramp.commands"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHELLS = ("bash", "zsh", "fish")


def run_command(arguments: Sequence[str]) -> int:
    """Run a sub-command and return its exit status; every foreseen error is one sentence."""
    try:
        status = _offramp.main(list(arguments), prog_name="offramp", standalone_mode=False)
    except OfframpError as error:
        click.echo(_folded("offramp: " + printable(" ".join(str(error).split()))), err=True)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:  # no error: nothing was asked for
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(_folded(f"offramp: {_one_sentence(error)}"), err=True)
        return error.exit_code
    except click.Abort:  # click's own word for Ctrl-C
        raise KeyboardInterrupt from None
    except BrokenPipeError:  # the reader of our output went away
        _close_output()
        return 1
    except OSError as error:
        if error.errno not in _FULL:
            raise
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        click.echo(f"offramp: the output cannot be written: {why}", err=True)
        _close_output()
        return ConfigError.exit_code
    return status or 0


def _one_sentence(error: click.ClickException) -> str:
    """Return what click says of a wrong option or argument, and where its help is."""
    said = printable(" ".join(error.format_message().split())).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{said}; {context.command_path} --help tells more" if context else said


def _folded(text: str) -> str:
    """Return a text in lines that fit the terminal, broken between words; elsewhere in one."""
    if not sys.stderr.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _close_output() -> None:
    """Let what is still to be written go nowhere, so that Python's own end is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _entry_points() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUP)}
