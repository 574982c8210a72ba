"""The sub-commands ``offramp profile`` and ``offramp plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partitioner.amounts import SHARE

__all__ = ["plan", "profile"]

_IN = click.Path(path_type=Path)
_ABOVE_0 = click.FloatRange(min=0, min_open=True)
_FROM_0 = click.FloatRange(min=0)
_OUT = click.Path(path_type=Path, dir_okay=False)


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
    from partitioner.boards import find_power
    from partitioner.measure import measure_profile, runners_here
    from partitioner.measure_power import power_here
    from partitioner.remembered import remember
    from partitioner.tables import profile_table, runner_table

    if out:
        check_writable(out)
    given = find_power(board) if board else None
    opened = open_bundle(bundle)
    runners = runners_here(opened, names, threads, _say)
    measured = measure_profile(opened, runners, rounds=rounds, report=_say)
    drawn = power_here(opened, measured, given, _say) if power else given
    measured = measured.drawing(drawn)
    remember(measured)
    if out:
        write_file(out, measured.model_dump_json(indent=1).encode() + b"\n")
    _print(profile_table(opened, measured))
    _print(runner_table(measured))
    if drawn:
        click.echo(drawn.describe())


@click.command()
@click.argument("bundle", type=_IN)
@click.option("--device-profile", required=True, type=_IN, help="From offramp profile, there.")
@click.option("--server-profile", type=_IN, help="By default, that of the device.")
@click.option(
    "--slowdown",
    default=1.0,
    show_default=True,
    type=_ABOVE_0,
    help="The device is slower by this.",
)
@click.option("--bandwidth-mbps", required=True, type=_ABOVE_0, help="Uplink, in Mbit/s.")
@click.option("--rtt-ms", required=True, type=_FROM_0, help="Round trip of an empty message.")
@click.option("--queue-ms", default=0.0, show_default=True, type=_FROM_0, help="Server's queue.")
@click.option(
    "--strategy",
    default="adaptive",
    show_default=True,
    help="adaptive, device_only, server_only, device_exits or static.",
)
@click.option("--minimise", default="mean", show_default=True, type=click.Choice(["mean", "p95"]))
@click.option("--max-accuracy-drop", default="1%", show_default=True, type=SHARE, metavar="SHARE")
@click.option("--deadline-ms", type=_ABOVE_0, help="At most 1% of the samples may be later.")
def plan(bundle: Path, **options: Any) -> None:
    """Print the best plan for BUNDLE under given conditions, the runners-up and why."""
    from offramp.bundle import open_bundle
    from offramp.calibration import load_calibration
    from offramp.exits.fitted import load_policy
    from offramp.settings import load_settings
    from partitioner import strategies
    from partitioner.candidates import build_candidates
    from partitioner.conditions import Conditions
    from partitioner.objective import Objective
    from partitioner.planner import Planner
    from partitioner.profile import load_profile
    from partitioner.tables import plan_table

    opened = open_bundle(bundle)
    device = load_profile(options["device_profile"])
    server = load_profile(options["server_profile"] or options["device_profile"])
    deadline_ms = options["deadline_ms"]
    objective = load_settings(
        Objective,
        None,
        {
            "minimise": options["minimise"],
            "max_accuracy_drop": options["max_accuracy_drop"],
            "deadline_s": deadline_ms / 1e3 if deadline_ms is not None else None,
        },
    )
    conditions = Conditions(
        bandwidth_bps=options["bandwidth_mbps"] * 1e6,
        rtt_s=options["rtt_ms"] / 1e3,
        queue_s=options["queue_ms"] / 1e3,
    )
    candidates = build_candidates(opened, load_calibration(opened), load_policy(opened))
    planner = Planner(opened, candidates, device.slowed(options["slowdown"]), server)
    chosen = strategies.get(options["strategy"]).decide(planner, objective, conditions)
    others = planner.runners_up(planner.rank(objective, conditions))
    _print(plan_table(opened, chosen, others))
    click.echo(f"{chosen.describe()}\n{chosen.reason}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _print(table: Any) -> None:
    from rich.console import Console

    Console(soft_wrap=True).print(table)
