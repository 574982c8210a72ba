"""The sub-command ``offramp plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partitioner.amounts import SHARE, Range
from partitioner.strategy_names import DEPLOYED, either_of

__all__ = ["plan"]

_IN = click.Path(path_type=Path)
_OUT = click.Path(path_type=Path)
_FACTOR = Range(1e-6, 1e6)
_BANDWIDTH_MBPS = Range(1e-6, 1e6)
_TIME_MS = Range(0, 1e9)
_RATE_HZ = Range(0, 1e6, min_open=True)
_HEDGED = (
    "the device computes on while an answer is under way, as in offramp run; --no-hedge plans "
    "without"
)


@click.command()
@click.argument("bundle", type=_IN)
@click.option(
    "--device-profile",
    type=_IN,
    help="From offramp profile, there.  [default: what is remembered of this machine]",
)
@click.option("--server-profile", type=_IN, help="By default, that of the device.")
@click.option(
    "--slowdown",
    default=1.0,
    show_default=True,
    type=_FACTOR,
    help="The device is slower by this.",
)
@click.option(
    "--board", help="What it draws, if its profile does not say: a name like rpi4-wifi, or a file."
)
@click.option("--bandwidth-mbps", required=True, type=_BANDWIDTH_MBPS, help="Uplink, in Mbit/s.")
@click.option("--rtt-ms", required=True, type=_TIME_MS, help="Round trip of an empty message.")
@click.option("--queue-ms", default=0.0, show_default=True, type=_TIME_MS, help="Server's queue.")
@click.option("--device-load", default=1.0, show_default=True, type=_FACTOR, help="Takes n times.")
@click.option("--server-load", default=1.0, show_default=True, type=_FACTOR, help="Takes n times.")
@click.option(
    "--min-cut",
    type=click.IntRange(0, 65_536),
    default=0,
    show_default=True,
    help="Send nothing that fewer segments have run on.",
)
@click.option(
    "--rate-hz",
    type=_RATE_HZ,
    help="Samples a second that come by themselves: plans must keep up. Without it the next one "
    "waits until the device is ready.",
)
@click.option(
    "--hedge/--no-hedge",
    default=None,
    help="The device computes on while an answer is under way, or waits.  [default: as offramp run "
    "does: it computes on if the strategy counts on it and it holds the whole model]",
)
@click.option(
    "--strategy",
    default="offramp",
    show_default=True,
    help=f"{either_of(DEPLOYED)}.",
)
@click.option("--objective", type=_IN, help="YAML file of what to minimise and to keep.")
@click.option(
    "--minimise",
    help="mean, p95 or another quantile from p1 to p99.9, late, server, uplink, period, energy or "
    "memory.",
)
@click.option("--max-accuracy-drop", type=SHARE, metavar="SHARE", help="[default: 1%]")
@click.option(
    "--deadline-ms",
    type=Range(0, 1e9, min_open=True),
    help="At most 1% of the samples may be later; no limit where late is minimised.",
)
@click.option(
    "--what-if",
    "names",
    multiple=True,
    metavar="AXIS",
    help="Show which plan wins where as this changes: bandwidth, rtt, queue, rate, "
    "device-load, server-load or accuracy-drop. Given twice, it is a map of two.",
)
@click.option("--picture", type=_OUT, help="Write the map of two axes here too (SVG or PNG).")
@click.option(
    "--devices",
    type=click.IntRange(1, 1_000_000),
    help="So many share the server: show the mixture of plans by which each handles the most "
    "samples a second.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="With --devices: samples that the server runs at the same time.  [default: 1]",
)
@click.option("--shared-uplink", is_flag=True, help="With --devices: they share the uplink too.")
def plan(bundle: Path, **options: Any) -> None:
    """Print the best plan for BUNDLE under given conditions, the runners-up and why.

    What a plan in the table breaks of the objective stands beside it. Where no plan meets the
    objective, the error says which limit would have to give way and how far.
    """
    from offramp.bundle import open_bundle
    from partitioner import strategies
    from partitioner.mixture import Sharing
    from partitioner.objective import HEAD_ALONE
    from partitioner.plan_inputs import (
        check_options,
        computes_on,
        objective_of,
        planner_of,
        profile_of,
        situation_of,
    )
    from partitioner.plan_output import show_mixture, show_plan, show_what_if
    from partitioner.what_if_picture import check_picture

    check_options(options)
    if options["picture"]:
        check_picture(options["picture"])
    strategy, opened = strategies.get(options["strategy"]), open_bundle(bundle)
    objective = objective_of(options)
    hedged = computes_on(strategy, opened, objective, options)
    at = situation_of(objective, options, hedged=hedged)
    profile, origin = profile_of(opened, options)
    planner = planner_of(opened, profile, options)
    said = [origin] if origin else []
    if objective.spares_memory:
        said.append(HEAD_ALONE)
    if options["devices"]:
        sharing = Sharing(options["devices"], options["workers"] or 1, options["shared_uplink"])
        show_mixture(planner, at, sharing, said)
        return
    if hedged:
        said.append(_HEDGED)
    show_plan(planner, strategy, at, said)
    if options["names"]:
        show_what_if(planner, strategy, at, options["names"], options["picture"])
