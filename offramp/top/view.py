"""Views: one block for each endpoint, a server or a device, or what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.text import Text

from offramp.errors import LinkError
from offramp.names import printable
from offramp.sheet import Sheet
from offramp.top.device import view_device
from offramp.top.reading import Change, Reading, read
from offramp.top.server import view_server

__all__ = ["Endpoint", "view"]


@dataclass
class Endpoint:
    """An endpoint's address with its last two readings, and why there is no newer one."""

    url: str
    before: Reading | None = None
    now: Reading | None = None
    trouble: str = ""

    def showed(self, text: str, at_s: float) -> None:
        """Take what it showed."""
        try:
            reading = read(text, at_s)
        except LinkError as error:
            return self.failed(str(error))
        self.before, self.now, self.trouble = self.now, reading, ""

    def failed(self, trouble: str) -> None:
        """Take that it shows nothing; when it does again, it may be another process."""
        self.before, self.now, self.trouble = None, None, trouble


def view(endpoints: Iterable[Endpoint]) -> Iterator[Text | Sheet]:
    """Yield the lines and tables for all endpoints, in their order."""
    for at, endpoint in enumerate(endpoints):
        if at:
            yield Text()
        yield from _block(endpoint)


def _block(endpoint: Endpoint) -> Iterator[Text | Sheet]:
    if endpoint.now is None:
        yield _heading("gone", endpoint, "bold red")
        yield Text(printable(endpoint.trouble or "nothing was asked of it yet"))
        return
    change, names = Change(endpoint.before, endpoint.now), endpoint.now.samples
    if any(name.startswith("offramp_server_") for name in names):
        yield _heading("server", endpoint, "bold")
        yield from view_server(change)
    elif any(name.startswith("offramp_device_") for name in names):
        yield _heading("device", endpoint, "bold")
        yield from view_device(change)
    else:
        yield _heading("unknown", endpoint, "bold red")
        yield Text("it shows metrics, but none of Offramp's")


def _heading(kind: str, endpoint: Endpoint, style: str) -> Text:
    address = endpoint.url.partition("://")[2].removesuffix("/metrics")
    return Text(printable(f"{kind} {address}"), style)
