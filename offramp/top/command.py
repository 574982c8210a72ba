"""The sub-command ``offramp top``: a live view of servers and devices."""

from __future__ import annotations

import click

__all__ = ["top"]


@click.command()
@click.argument("endpoints", metavar="ENDPOINT...", nargs=-1, required=True)
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks.",
)
@click.option("--once", is_flag=True, help="Look twice, show what changed between, and end.")
def top(endpoints: tuple[str, ...], interval_s: float, once: bool) -> None:
    """Show what servers and devices do now.

    ENDPOINT is what was given to --metrics of offramp serve or offramp run: HOST:PORT, or a URL.
    Rates, shares and times are those since the last look. Ctrl-C ends it.
    """
    from offramp.top.live import watch
    from offramp.top.scrape import endpoint_url
    from offramp.top.view import Endpoint

    watch([Endpoint(endpoint_url(text)) for text in endpoints], interval_s, once=once)
