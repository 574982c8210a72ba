"""The sub-command ``offramp bundles``: which bundles a server serves, and changing that."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # gRPC takes a tenth of a second, which --help does without
    from device.administrator import Administrator

__all__ = ["bundles"]

_FILE = click.Path(path_type=Path)
_DIGITS = 12  # of a digest, in tables
_OPTIONS = (
    click.option("--server", required=True, metavar="HOST:PORT", help="The edge server."),
    click.option("--authority", type=_FILE, help="Encrypt, and trust servers that it signed, PEM."),
    click.option("--certificate", type=_FILE, help="The administrator's own certificate, PEM."),
    click.option("--key", type=_FILE, help="The certificate's key, PEM, without a password."),
    click.option(
        "--token-file", type=_FILE, help="A file with the administrator's token; or OFFRAMP_TOKEN."
    ),
    click.option(
        "--server-name", help="Whom the server's certificate is for, if not whom --server names."
    ),
    click.option(
        "--timeout", "limit_s", type=click.FloatRange(0.1, 3600), default=60.0, show_default=True,
        metavar="SECONDS", help="How long the server may take.",
    ),
)  # fmt: skip


def _of_a_server(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that lead to a server, and the administrator that they make."""

    @functools.wraps(command)
    def run(server: str, limit_s: float, **options: Any) -> None:
        secured = ("authority", "certificate", "key", "token_file", "server_name")
        security = {name: options.pop(name) for name in secured}
        with _administrator(server, limit_s, security) as administrator:
            command(administrator, **options)

    return functools.reduce(lambda made, option: option(made), reversed(_OPTIONS), run)


@click.group()
def bundles() -> None:
    """Show, load and unload the bundles of an edge server.

    The server has to know the caller as a client that may administer it: see
    docs/edge-server.md.
    """


@bundles.command("list")
@_of_a_server
def list_(administrator: Administrator) -> None:
    """Show what the server knows, and what of it is in memory."""
    from offramp.names import printable
    from offramp.quantities import say_bytes, say_time
    from offramp.sheet import Column, Sheet, show

    held = administrator.list()
    if not held:
        click.echo("the server has no bundles")
        return
    superseded = [" (superseded)" if one.offer.superseded else "" for one in held]
    columns = {
        "model": [one.offer.name + note for one, note in zip(held, superseded, strict=True)],
        "bundle": [one.offer.digest[:_DIGITS] for one in held],
        "memory": [one.stage for one in held],
        "size": [say_bytes(one.size_bytes) for one in held],
        "in flight": [str(one.in_flight) for one in held],
        "idle": [say_time(one.idle_s) for one in held],
        "backend": [printable(one.offer.backend) for one in held],
        "from": [printable(", ".join(one.sources) or "replaced") for one in held],
    }
    words, spare = ("model", "bundle", "memory", "backend", "from"), ("backend", "in flight")
    show(
        Sheet(
            "",
            [
                Column(name, tuple(cells), words=name in words, spare=int(name in spare))
                for name, cells in columns.items()
            ],
            goes_on=True,
        )
    )


@bundles.command()
@click.argument("path")
@_of_a_server
def load(administrator: Administrator, path: str) -> None:
    """Have the server serve the bundle at PATH.

    PATH is one of the server's own, inside its admin_folder or the folder that it watches.
    """
    held = administrator.load(path)
    click.echo(f"serving {held.offer.name!r}, bundle {held.offer.digest}")


@bundles.command()
@click.argument("digest")
@_of_a_server
def unload(administrator: Administrator, digest: str) -> None:
    """Have the server let go of the bundle DIGEST, of which the first digits will do.

    Samples that have come for it are answered; new ones are refused.
    """
    from offramp.errors import ConfigError, UnknownBundleError

    given = digest.lower()
    if not given:
        raise ConfigError("an empty digest is that of any bundle; give its first digits")
    found = [one.offer for one in administrator.list() if one.offer.digest.startswith(given)]
    if len(found) > 1:
        raise click.BadParameter(f"{len(found)} bundles begin with {digest!r}; give more digits")
    if not found or not administrator.unload(found[0].digest):
        raise UnknownBundleError(
            f"the server has no bundle {digest!r}; offramp bundles list shows what it has"
        )
    click.echo(f"no longer serving {found[0].name!r}, bundle {found[0].digest}")


@contextlib.contextmanager
def _administrator(
    server: str, limit_s: float, security: dict[str, Any]
) -> Iterator[Administrator]:
    import os

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from device.administrator import Administrator
    from device.security import SecuritySettings
    from offramp.address import Address
    from offramp.settings import load_settings

    settings = load_settings(SecuritySettings, None, security)
    administrator = Administrator(Address.parse_peer(server), settings, limit_s)
    try:
        yield administrator
    finally:
        administrator.close()
