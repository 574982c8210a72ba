"""The sub-command ``offramp plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from partitioner.amounts import SHARE, Range
from partitioner.strategy_names import DEPLOYED, either_of

if TYPE_CHECKING:
    from partitioner.planner import Planner
    from partitioner.strategies import Strategy
    from partitioner.what_if import Situation

__all__ = ["plan"]

_IN = click.Path(path_type=Path)
_OUT = click.Path(path_type=Path, dir_okay=False)
_FACTOR = Range(1e-6, 1e6)
_BANDWIDTH_MBPS = Range(1e-6, 1e6)
_TIME_MS = Range(0, 1e9)
_MAP = (72, 20)
_PICTURE = (200, 120)


@click.command()
@click.argument("bundle", type=_IN)
@click.option("--device-profile", required=True, type=_IN, help="From offramp profile, there.")
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
@click.option("--hedge", is_flag=True, help="The device computes on while an answer is under way.")
@click.option(
    "--strategy",
    default="offramp",
    show_default=True,
    help=f"{either_of(DEPLOYED)}.",
)
@click.option("--objective", "path", type=_IN, help="YAML file of what to minimise and to keep.")
@click.option(
    "--minimise", help="mean, p95 or any other p, late, server, uplink, period, energy or memory."
)
@click.option("--max-accuracy-drop", type=SHARE, metavar="SHARE", help="[default: 1%]")
@click.option(
    "--deadline-ms",
    type=Range(0, 1e9, min_open=True),
    help="At most 1% of the samples may be later.",
)
@click.option(
    "--what-if",
    "names",
    multiple=True,
    metavar="AXIS",
    help="Show which plan wins where as this changes: bandwidth, rtt, queue, device-load, "
    "server-load or accuracy-drop. Given twice, it is a map of two.",
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
def plan(bundle: Path, names: tuple[str, ...], picture: Path | None, **options: Any) -> None:
    """Print the best plan for BUNDLE under given conditions, the runners-up and why.

    Where no plan meets the objective, the error says which limit would have to give way and how
    far.
    """
    from offramp.bundle import open_bundle
    from offramp.calibration import load_calibration
    from offramp.errors import ConfigError
    from offramp.exits.fitted import load_policy
    from offramp.files import check_writable
    from partitioner import strategies
    from partitioner.boards import find_power
    from partitioner.candidates import build_candidates
    from partitioner.comparison import Comparison
    from partitioner.offers import check_feasible
    from partitioner.planner import Planner
    from partitioner.profile import load_profile, naming
    from partitioner.tables import plan_table
    from partitioner.what_if import get_axis

    if len(names) > 2 or (picture and len(names) != 2):
        raise ConfigError("--what-if takes one axis, or two for a map; --picture needs two")
    if len(names) != len(set(names)):
        raise ConfigError(f"--what-if {names[0]} is given twice; a map needs two different axes")
    for name in names:
        get_axis(name)
    if picture:
        check_writable(picture)
    _check_sharing(options, names)
    opened = open_bundle(bundle)
    device_path = options["device_profile"]
    device = load_profile(device_path, opened)
    with naming(device_path):
        device.check_heads(opened)
    if options["board"]:
        device = device.drawing(find_power(options["board"]))
    server = load_profile(options["server_profile"] or device_path, opened)
    strategy, at = strategies.get(options["strategy"]), _situation(options)
    candidates = build_candidates(opened, load_calibration(opened), load_policy(opened))
    planner = Planner(opened, candidates, device.slowed(options["slowdown"]), server)
    if options["devices"]:
        _show_mixture(planner, at, options)
        return
    among = strategy.among(planner)
    if strategy.steady and len(among.candidates) > 1:  # others do as they do, whatever is asked for
        whose = strategy.name if among is not planner else ""
        check_feasible(among, at.objective, at.conditions, whose)
    chosen = strategy.decide(planner, at.objective, at.conditions)
    chosen = strategy.explain(planner, chosen, at.objective, at.conditions)
    comparison = Comparison(among, at.objective, at.conditions)
    it = comparison.of(chosen)
    assert it is not None  # it is one of those that the strategy chooses from
    _print(plan_table(opened, [it, *comparison.others(chosen)], at.objective))
    click.echo(f"{chosen.describe()}\n{chosen.reason}")
    if names:
        _show_what_if(planner, strategy, at, names, picture)


def _situation(options: dict[str, Any]) -> Situation:
    from offramp.settings import load_settings
    from partitioner.conditions import Conditions
    from partitioner.objective import Objective
    from partitioner.what_if import Situation

    deadline_ms = options["deadline_ms"]
    objective = load_settings(
        Objective,
        options["path"],
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
        device_stretch=options["device_load"],
        server_stretch=options["server_load"],
        hedged=options["hedge"],
    )
    return Situation(objective, conditions)


def _check_sharing(options: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raise `ConfigError` if options are given that mean nothing with --devices, or without."""
    from offramp.errors import ConfigError

    if options["devices"] is None:
        if options["workers"] or options["shared_uplink"]:
            raise ConfigError("--workers and --shared-uplink are of a shared server; add --devices")
        return
    for name, given in (
        ("--what-if", names),
        ("--strategy", options["strategy"] != "offramp"),
        ("--hedge", options["hedge"]),
        ("--minimise", options["minimise"]),
    ):
        if given:
            raise ConfigError(f"--devices mixes all plans for throughput; leave out {name}")


def _show_mixture(planner: Planner, at: Situation, options: dict[str, Any]) -> None:
    from offramp.extras import require_extra
    from partitioner.mixture import Mixer, Sharing
    from partitioner.mixture_view import mixture_lines, mixture_table

    require_extra("compile", "scipy")
    sharing = Sharing(options["devices"], options["workers"] or 1, options["shared_uplink"])
    mixer = Mixer(planner, at.objective, at.conditions, sharing)
    mixture = mixer.best()
    _print(mixture_table(mixture, sharing))
    for line in mixture_lines(mixture, mixer.alone(), mixer.quickest()):
        click.echo(line)


def _show_what_if(
    planner: Planner,
    strategy: Strategy,
    at: Situation,
    names: tuple[str, ...],
    picture: Path | None,
) -> None:
    from partitioner.what_if import draw_map, get_axis, sweep
    from partitioner.what_if_picture import save_map
    from partitioner.what_if_view import map_text, region_table

    if len(names) == 1:
        axis = get_axis(names[0])
        _print(region_table(axis, sweep(planner, strategy, at, axis), at))
        return
    axes = (get_axis(names[0]), get_axis(names[1]))
    _print(map_text(axes, draw_map(planner, strategy, at, axes, _MAP), at))
    if picture:
        save_map(picture, axes, draw_map(planner, strategy, at, axes, _PICTURE), at)


def _print(shown: Any) -> None:
    from rich.console import Console

    Console(soft_wrap=True).print(shown)
