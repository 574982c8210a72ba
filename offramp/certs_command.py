"""The sub-command ``offramp certs``: certificates to try out encryption with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from offramp.address import Address

__all__ = ["certs"]

_PORT = 50051
_OPEN = Address("0.0.0.0", _PORT)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default="certs", show_default=True, help="A folder."
)
@click.option(
    "--host", "hosts", multiple=True, help="A name or number of the server; this machine's are in."
)
@click.option("--client", "clients", multiple=True, help="A name of a device; one file pair each.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=397,
    show_default=True,
    help="How long they are valid.",
)
def certs(out: Path, hosts: tuple[str, ...], clients: tuple[str, ...], days: int) -> None:
    """Make an authority for development, and certificates of a server and of devices.

    Where the folder has an authority, it signs the new certificates too. No file is replaced. Guard
    authority-key.pem: whoever has it can stand for any server and device. It is for development:
    nothing revokes a certificate.
    """
    from offramp.extras import require_extra

    require_extra("certs", "cryptography")
    from offramp.development_authority import make_authority, open_authority
    from offramp.files import unwritable

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from None
    if (out / "authority.pem").exists():
        authority = open_authority(out)
    else:
        authority = make_authority()
        authority.signed.write(out, "authority")
    begins = datetime.now(UTC)
    if hosts or not (clients and (out / "server.pem").exists()):
        names = tuple(dict.fromkeys((*hosts, *_LOOPBACK)))
        authority.server(names, begins, days).write(out, "server")
    for name in clients:
        authority.client(name, begins, days).write(out, _checked(name))
    _say_next(out, hosts[0] if hosts else _LOOPBACK[0], clients)


def _checked(name: str) -> str:
    """Return a client's name if a file can have it, and no other file of the folder has."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in ".-":
        raise click.BadParameter(f"{name!r} is no name; use letters, digits, '-', '_' and '.'")
    if name in ("authority", "server") or name.endswith("-key"):
        raise click.BadParameter(f"{name!r} would be another file's name; use another one")
    return name


def _say_next(folder: Path, host: str, clients: tuple[str, ...]) -> None:
    server = f"--certificate {folder}/server.pem --key {folder}/server-key.pem"
    device = f"--authority {folder}/authority.pem"
    if clients:
        server += f" --client-authority {folder}/authority.pem"
        device += f" --certificate {folder}/{clients[0]}.pem --key {folder}/{clients[0]}-key.pem"
    click.echo(f"server: offramp serve BUNDLE --listen {_OPEN} {server}")
    click.echo(f"device: offramp run --source SOURCE --server {Address(host, _PORT)} {device}")
