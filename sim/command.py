"""The command `offramp shape`: a TCP relay that behaves like a link."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from offramp.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from offramp.address import Address
    from sim.description import LinkSettings
    from sim.model import Link

__all__ = ["shape"]

_File = click.Path(path_type=Path)


@click.command()
@click.option(
    "--listen", "listen_on", required=True, metavar="HOST:PORT", help="Where clients connect."
)
@click.option("--upstream", required=True, metavar="HOST:PORT", help="Where the relay connects.")
@click.option("--link", type=_File, help="A link described in a YAML file.")
@click.option("--preset", metavar="NAME", help="A link by name: wifi, lte or poor.")
@click.option("--trace", type=_File, help="A recorded rate: mahimahi, CSV, or SET.npz/NAME.")
@click.option("--down-trace", type=_File, help="The rate towards the client, if another.")
@click.option(
    "--delay-ms", type=click.FloatRange(min=0), help="With --trace: the delay each way [0]."
)
@click.option("--seed", type=int, help="The seed of what is random, instead of the link's own.")
@click.option(
    "--start",
    type=click.Choice(["first-connection", "now"]),
    default="first-connection",
    show_default=True,
    help="When the link's time begins.",
)
def shape(
    listen_on: str,
    upstream: str,
    link: Path | None,
    preset: str | None,
    trace: Path | None,
    down_trace: Path | None,
    delay_ms: float | None,
    seed: int | None,
    start: str,
) -> None:
    """Relay TCP connections through a link with limited rate, delay, jitter and outages.

    Give exactly one of --link, --preset and --trace. Prints "listening on HOST:PORT" once clients
    can connect, and each phase of the link on standard error as it begins. Needs no privileges.
    """
    import asyncio

    from offramp.address import Address
    from sim.description import read_link
    from sim.model import build_link
    from sim.sockets import listen, precise_loop

    if [link, preset, trace].count(None) != 2:
        raise ConfigError("the link is not clear: give exactly one of --link, --preset and --trace")
    if not trace and (down_trace is not None or delay_ms is not None):
        raise ConfigError("--down-trace and --delay-ms belong to --trace: leave them out")
    if link is not None:
        settings = read_link(link)
    elif preset is not None:
        settings = _preset(preset)
    else:
        settings = _recorded(trace, down_trace, (delay_ms or 0.0) / 1000)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    model, target = build_link(settings), Address.parse_peer(upstream)
    with (
        listen(Address.parse(listen_on)) as listener,
        asyncio.Runner(loop_factory=precise_loop) as runner,
    ):
        runner.run(_serve(model, target, listener, start == "now"))


async def _serve(model: Link, upstream: Address, listener: socket.socket, now: bool) -> None:
    """Relay until a signal asks to stop."""
    import asyncio
    import signal
    from contextlib import suppress

    from sim.relay import Relay
    from sim.sockets import local_address

    serving = asyncio.ensure_future(Relay(model, upstream, _log, starts_now=now).serve(listener))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    click.echo(f"listening on {local_address(listener)}")
    with suppress(asyncio.CancelledError):
        await serving


def _log(line: str) -> None:
    click.echo(line, err=True)


def _preset(name: str) -> LinkSettings:
    from offramp.choices import choose
    from sim.description import parse_link
    from sim.presets import PRESETS

    return parse_link(choose("preset", name, PRESETS), f"preset {name}")


def _recorded(up: Path | None, down: Path | None, delay_s: float) -> LinkSettings:
    """The link with the recorded rates, `down` the same as `up` if left out."""
    from sim.description import parse_link

    chains = [
        [{"kind": "rate", "trace": trace}, {"kind": "delay", "seconds": delay_s}]
        for trace in (up, down or up)
    ]
    return parse_link(dict(zip(("up", "down"), chains, strict=True)), "the trace")
