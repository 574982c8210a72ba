"""The sub-command ``offramp profile``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["profile"]

_IN = click.Path(path_type=Path)
_OUT = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_IN)
@click.option(
    "--backend",
    "names",
    multiple=True,
    help="Engine to measure; may be repeated.  [default: all that are installed, but for those "
    "that compile what they load and turn out slower on the whole model]",
)
@click.option(
    "--threads",
    multiple=True,
    type=click.IntRange(1, 256),
    help="Threads to measure with; may be repeated.  [default: 1 and all cores]",
)
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--power", is_flag=True, help="Measure what this machine draws too, if it can.")
@click.option(
    "--board", help="What it draws: a board's name, such as rpi4-wifi, or a YAML file of figures."
)
@click.option("-o", "--out", type=_OUT, help="Write the profile here too (JSON).")
def profile(
    bundle: Path,
    names: tuple[str, ...],
    threads: tuple[int, ...],
    rounds: int,
    power: bool,
    board: str | None,
    out: Path | None,
) -> None:
    """Measure what BUNDLE's parts cost on this machine, and remember it for offramp run.

    Whole heads and tails are timed for every cut, on every backend and thread count, and every
    exit and codec level: the times of single layers do not add up.
    """
    from offramp.bundle import open_bundle
    from offramp.files import check_writable, write_file
    from offramp.sheet import show
    from partitioner.boards import find_power
    from partitioner.measure import measure_profile, runners_here
    from partitioner.measure_power import power_here
    from partitioner.remembered import remember
    from partitioner.tables import profile_table, runner_table

    if out:
        check_writable(out)
    given = find_power(board) if board else None
    opened = open_bundle(bundle)
    try:
        runners = runners_here(opened, names, threads, _say)
        measured = measure_profile(opened, runners, rounds=rounds, report=_say)
        drawn = power_here(opened, measured, given, _say) if power else given
        measured = measured.drawing(drawn)
    except KeyboardInterrupt:
        _say("interrupted: nothing of this profile is kept; the same command measures it anew")
        raise
    remember(measured)
    if out:
        write_file(out, measured.model_dump_json(indent=1).encode() + b"\n")
    show(profile_table(opened, measured))
    show(runner_table(measured))
    if drawn:
        click.echo(drawn.describe())


def _say(line: str) -> None:
    click.echo(line, err=True)
