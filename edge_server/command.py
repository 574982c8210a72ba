"""The command ``offramp serve``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from offramp.logs import FORMATS, set_up_logs

__all__ = ["serve"]

_LEVELS = ("debug", "info", "warning", "error")
_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, type=_FILE)
@click.option("--watch", type=_FILE, help="A folder of bundles to serve.")
@click.option("--admin-folder", type=_FILE, help="A folder that bundles may be loaded from.")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
@click.option("--metrics", metavar="HOST:PORT", help="Where to show metrics to Prometheus.")
@click.option("--traces", metavar="URL", help="OpenTelemetry collector, http://HOST:PORT.")
@click.option("--backend", help="The engine that runs the segments.  [default: the first that can]")
@click.option("--threads", type=int, help="Threads for one sample.")
@click.option("--workers", type=int, help="Samples that run at the same time.")
@click.option("--certificate", type=_FILE, help="The server's certificate, PEM; needs --key.")
@click.option("--key", type=_FILE, help="The certificate's key, PEM, without a password.")
@click.option(
    "--client-authority", type=_FILE, help="Whose certificates clients have to show, PEM."
)
@click.option("--clients", type=_FILE, help="A YAML file of clients and their tokens' hashes.")
@click.option("--insecure", is_flag=True, help="Listen beyond this machine without any encryption.")
@click.option("--grace", "grace_s", type=float, metavar="SECONDS", help="Longest time to stop in.")
@click.option(
    "--settings",
    "file",
    type=_FILE,
    help="A YAML file of settings (docs/edge-server.md); options here win over it.",
)
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True)
@click.option("--log-format", type=click.Choice(FORMATS), default="text", show_default=True)
def serve(bundles: tuple[Path, ...], file: Path | None, **options: Any) -> None:
    """Run the tails of BUNDLEs for devices, until SIGTERM or Ctrl-C.

    Beyond this machine it takes a certificate, or --insecure; see docs/security.md.
    Prints one line, "listening on HOST:PORT", when it is ready.
    """
    # gRPC writes lines of its own to stderr, in a form of its own; what matters we say ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import asyncio
    import gc

    from edge_server.server import load_engine, run_server
    from edge_server.settings import ServerSettings
    from offramp.settings import load_settings

    set_up_logs(options.pop("log_level"), options.pop("log_format"))
    insecure = options.pop("insecure") or None  # the file may say so too
    given = {"bundles": bundles or None, "insecure": insecure, **options}
    settings = load_settings(ServerSettings, file, given)
    gc.freeze()  # what is imported stays: to look for garbage in it would stop all for 60 ms
    engine = load_engine(settings)
    asyncio.run(run_server(settings, engine, lambda at: click.echo(f"listening on {at}")))
