"""Targets: the files by which connections are secured."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.target import Attack, Target, WrongError, of_file
from device.security import SecuritySettings
from edge_server.bundles.administration import Administration
from edge_server.security.clients import Client
from edge_server.security.roster import ClientsFile, Roster
from offramp.address import Address
from offramp.development_authority import Signed, make_authority, open_authority
from offramp.errors import InputError
from offramp.pem import read_authority, read_pair
from offramp.settings import load_settings
from protos.offramp.v1.admin_pb2 import LoadBundleRequest

__all__ = ["targets"]

_HASH = "0123456789abcdef" * 4
_CLIENTS = f"""
clients:
  cameras:
    tokens: [{{sha256: {_HASH}}}, {{sha256: {_HASH[:-1]}e, expires: 2030-01-01T00:00:00Z}}]
    weight: 2.0
    rate_hz: 50
    models: [digits]
  operator: {{tokens: [{{sha256: {_HASH[:-1]}d, expires: 2030-12-31}}], may_administer: true}}
"""


def targets() -> tuple[Target, ...]:
    """Return the targets of certificates, tokens and clients."""
    return (
        Target("clients files", ("edge_server.security.access",), _clients, weight=3),
        Target("token files", ("device.security",), _tokens, weight=20),
        Target("certificates", ("offramp.pem",), _certificates, weight=4),
        Target("paths to load", ("edge_server.bundles.administration",), _paths, weight=4),
        Target("authorities", ("offramp.development_authority",), _authorities, weight=4),
    )


def _clients(folder: Path) -> Attack:
    def read(path: Path) -> None:
        Roster(load_settings(ClientsFile, path))

    return Attack((_CLIENTS.encode(),), of_file(folder / "clients.yaml", read))


def _tokens(folder: Path) -> Attack:
    here = Address("127.0.0.1", 50051)

    def read(path: Path) -> None:
        SecuritySettings(token_file=path).credentials(here)

    return Attack((b"abcDEF-_0123456789" * 2 + b"\n", b"a\r\nb\n"), of_file(folder / "token", read))


def _certificates(folder: Path) -> Attack:
    """Read a server's certificate, its key or an authority, as an input's first byte says."""
    signed = make_authority().signed
    sound = (signed.certificate, signed.key, signed.certificate)

    def read(data: bytes) -> None:
        if not data:
            raise InputError("the input names no file")
        files = [folder / "a.pem", folder / "b.pem", folder / "c.pem"]
        for at, (path, content) in enumerate(zip(files, sound, strict=True)):
            path.write_bytes(data[1:] if at == data[0] % 3 else content)
        read_pair(files[0], files[1])
        read_authority(files[2])

    return Attack(tuple(bytes((at,)) + one for at, one in enumerate(sound)), read)


def _paths(folder: Path) -> Attack:
    """Let an administrator name a bundle to load, which must lie in the folder for that."""
    allowed = folder / "bundles"
    (allowed / "more").mkdir(parents=True)
    (allowed / "more" / "a.offramp").touch()
    (allowed / "out").symlink_to("/etc")
    (allowed / "loop").symlink_to("loop")

    class Library:
        async def take_in(self, source: str, paths: Sequence[Path]) -> None:
            if not paths[0].resolve().is_relative_to(allowed.resolve()):
                raise WrongError(f"{paths[0]} is outside")

    library: Any = Library()
    administration = Administration(library, lambda digest: 0, [allowed])
    client = Client("fuzzer", may_administer=True)

    def read(data: bytes) -> None:
        path = LoadBundleRequest(path=data.decode("latin-1")).path
        with suppress(TypeError):  # there is no book to be returned
            administration.load(client, path).send(None)

    outside = (b"../x", b"out/passwd", b"/etc/passwd", b"loop/x", b"more/../../b")
    return Attack((b"more/a.offramp", b"more", *outside), read)


def _authorities(folder: Path) -> Attack:
    """Read an authority whose certificate or key is anything, as an input's first byte says."""
    signed = make_authority().signed

    def read(data: bytes) -> None:
        if not data:
            raise InputError("the input names no file")
        pair = [signed.certificate, signed.key]
        pair[data[0] % 2] = data[1:]
        for name in ("authority.pem", "authority-key.pem"):
            (folder / name).unlink(missing_ok=True)
        Signed(*pair).write(folder, "authority")
        open_authority(folder)

    return Attack((b"\0" + signed.certificate, b"\1" + signed.key), read)
