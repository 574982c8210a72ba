"""The sub-command ``offramp run``: the device agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from offramp.logs import FORMATS, set_up_logs
from partitioner.amounts import SHARE
from partitioner.strategy_names import DEPLOYED, either_of

__all__ = ["run"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--source",
    required=True,
    help="Where samples come from: module:function that returns (inputs, labels), a folder of "
    "images, a .npy or .npz file, or - for .npy arrays, each one sample, on standard input.",
)
@click.option(
    "--server",
    multiple=True,
    metavar="HOST:PORT",
    help="The edge server. Given several times: those to use, the best first. Without it: device "
    "alone.",
)
@click.option(
    "--authority", type=_FILE, help="Encrypt, and trust servers whose certificate it signed, PEM."
)
@click.option("--certificate", type=_FILE, help="This device's own certificate, PEM.")
@click.option("--key", type=_FILE, help="The certificate's key, PEM, without a password.")
@click.option(
    "--token-file",
    type=_FILE,
    help="A file with the token that the server knows this device by; or set OFFRAMP_TOKEN.",
)
@click.option(
    "--server-name", help="Whom the server's certificate is for, if not whom --server names."
)
@click.option("--model", help="Without BUNDLE: the one to fetch, of several on the server.")
@click.option("--require-server", is_flag=True, help="End with status 6 if it does not answer.")
@click.option(
    "--strategy",
    help=f"How plans are chosen: {either_of(DEPLOYED)}.  [default: offramp]",
)
@click.option("--deadline-ms", type=float, help="Time each answer may take.  [default: 250]")
@click.option(
    "--rate", "rate_hz", type=float, help="Samples a second; without it, as fast as may be."
)
@click.option(
    "--min-cut", type=int, help="Send nothing that fewer segments have run on.  [default: 0]"
)
@click.option("--slowdown", type=float, help="Stand for a board slower by this.  [default: 8]")
@click.option("--backend", help="Engine that runs the head.  [default: the fastest in the profile]")
@click.option(
    "--threads", type=int, help="Threads of the engine.  [default: the fastest in the profile]"
)
@click.option(
    "--max-accuracy-drop",
    type=SHARE,
    metavar="SHARE",
    help="Accuracy that may be lost.  [default: 1%]",
)
@click.option(
    "--adaptive-thresholds",
    is_flag=True,
    help="Let exits follow samples that change; a bundle's promise is void then.",
)
@click.option(
    "--minimise",
    help="mean, p95 or another quantile from p1 to p99.9, late, server, uplink, period, energy or "
    "memory.  [default: mean]",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    help="Profile of this machine. Without it, what was measured here before is used; the first "
    "backend on one thread is measured now if it was not. offramp profile measures them all.",
)
@click.option("--server-profile", type=click.Path(path_type=Path), help="Profile of the server.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    help="YAML file of settings; docs/run-settings.md has them all.",
)
@click.option(
    "--out",
    "outs",
    multiple=True,
    help="Write JSON lines here, over what was there from the "
    "first result on; - for standard output.",
)
@click.option("--metrics", metavar="HOST:PORT", help="Where to show metrics to Prometheus.")
@click.option("--traces", metavar="URL", help="OpenTelemetry collector, http://HOST:PORT.")
@click.option(
    "--log-format", type=click.Choice(FORMATS), help="How warnings are written, one a line."
)
@click.option("--quiet", is_flag=True, help="Show nothing on the terminal.")
def run(bundle: Path | None, source: str, log_format: str | None, **options: Any) -> None:
    """Stream samples through BUNDLE's head, and its hard ones to the server.

    Without BUNDLE the device fetches its part of it from the server, once: it is kept in the cache
    (OFFRAMP_CACHE), and run from there if the server cannot be reached the next time.

    Every sample gets an answer: if the server is late or gone, the device answers, and the result
    says so. Exit status 0; 2 for a wrong option or a file that is not there, 4 for a damaged
    bundle, 5 if samples are not what the model takes (the others are answered all the same), 6
    with --require-server, 8 for a wrong profile or objective, 11 with --require-server if server
    and device do not trust each other, 130 for Ctrl-C before the start.
    """
    from device.main import run_agent

    if log_format is not None:
        set_up_logs("warning", log_format)
    run_agent(bundle, source, options)
