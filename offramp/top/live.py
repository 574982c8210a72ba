"""Live: looks at endpoints at intervals, and draws what they show."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live

from offramp.errors import LinkError
from offramp.sheet import show
from offramp.top.scrape import scrape
from offramp.top.view import Endpoint, view

__all__ = ["watch"]

_AT_ONCE = 32  # endpoints that are asked at the same time
_LOOK_S = 0.1  # a signal is noticed this often


def watch(endpoints: Sequence[Endpoint], interval_s: float, *, once: bool) -> None:
    """Draw a view every ``interval_s`` until Ctrl-C, or ``once``.

    What is no terminal gets one view below the other.
    """
    console = Console()
    with ThreadPoolExecutor(min(len(endpoints), _AT_ONCE)) as pool, _ending() as ends:

        def looks() -> Iterator[None]:
            list(pool.map(_look, endpoints))
            while not _asleep(interval_s, ends):
                list(pool.map(_look, endpoints))
                yield

        if once or not console.is_terminal:
            _print(endpoints, console, looks(), once=once)
        else:
            _animate(endpoints, console, looks())


@contextmanager
def _ending() -> Iterator[Callable[[], bool]]:
    """Let signals that end be asked for: raised anywhere, one could leave half a screen drawn."""
    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda which, frame: asked.append(which)) for number in numbers]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _asleep(limit_s: float, ends: Callable[[], bool]) -> bool:
    """Wait, and tell whether the end was asked for meanwhile."""
    end_s = time.monotonic() + limit_s
    while not ends() and (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, _LOOK_S))
    return ends()


def _look(endpoint: Endpoint) -> None:
    try:
        text = scrape(endpoint.url)
    except LinkError as error:
        endpoint.failed(str(error))
    else:
        endpoint.showed(text, time.monotonic())


def _animate(endpoints: Sequence[Endpoint], console: Console, looks: Iterator[None]) -> None:
    first = Group("looking ...")
    with Live(first, console=console, screen=True, auto_refresh=False) as live:
        for _ in looks:
            live.update(Group(*view(endpoints)), refresh=True)


def _print(
    endpoints: Sequence[Endpoint], console: Console, looks: Iterator[None], *, once: bool
) -> None:
    for _ in looks:
        for part in view(endpoints):
            show(part, console)
        console.file.flush()
        if once:
            return
