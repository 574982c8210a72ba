"""The view of a server: what comes, how long it takes, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from offramp.names import printable
from offramp.quantities import figure, say_bytes, say_time
from offramp.sheet import Column, Sheet
from offramp.top.reading import Change, Labels
from offramp.top.words import count, each_second, joined, known, shares

__all__ = ["view_server"]

_NAME = "offramp_server_"
_REQUESTS = f"{_NAME}requests_total"
_SPANS = ("queue", "decode", "encode", "total")


def view_server(change: Change) -> Iterator[Text | Sheet]:
    """Yield the lines and tables of one server."""
    now = change.now
    yield joined(
        each_second(change.rate(_REQUESTS), "samples"),
        count(now.total(f"{_NAME}streams"), "streams"),
        count(now.total(f"{_NAME}bundles"), "bundles"),
        known("cpu {}", now.total(f"{_NAME}cpu_share"), "{:.0%}".format),
        known("{} resident", now.total("process_resident_memory_bytes"), say_bytes),
    )
    yield joined(
        known("queue {}", now.total(f"{_NAME}waiting_samples"), figure),
        known("running {}", now.total(f"{_NAME}running_samples"), figure),
        known("a batch {} samples", change.mean(f"{_NAME}batch_samples"), figure),
        known("wait {}", now.total(f"{_NAME}wait_seconds"), say_time),
        known("price {}", now.total(f"{_NAME}price_seconds"), say_time),
    )
    if refused := change.parts(f"{_NAME}refusals_total", lambda labels: labels.get("reason")):
        yield Text(f"turned away: {shares(refused)}", "yellow")
    yield from _requests(change)
    yield from _spans(change)


def _requests(change: Change) -> Iterator[Sheet]:
    """Yield what came, by model and cut, with how much of it was answered."""
    asked = change.parts(_REQUESTS, _route)
    answered = change.parts(_REQUESTS, lambda at: _route(at) if at.get("outcome") == "OK" else None)
    if not asked:
        return
    routes = sorted(asked)
    total, spent_s = sum(asked.values()), change.spent_s
    yield Sheet(
        "",
        [
            Column("model, cut", tuple(routes), words=True),
            Column(
                "samples/s" if spent_s else "samples",
                tuple(figure(asked[route] / (spent_s or 1)) for route in routes),
            ),
            Column("share", tuple(f"{asked[route] / total:.0%}" for route in routes)),
            Column("answered", tuple(f"{answered.get(at, 0) / asked[at]:.0%}" for at in routes)),
        ],
    )


def _route(labels: Labels) -> str:
    return printable(f"{labels.get('model')}, {labels.get('cut')}")


def _spans(change: Change) -> Iterator[Sheet]:
    """Yield how long samples took, span by span."""
    rows = []
    for name in _SPANS:
        p50_s, p95_s = (change.quantile(f"{_NAME}{name}_seconds", at) for at in (0.5, 0.95))
        if p50_s is not None and p95_s is not None:
            rows.append((name, say_time(p50_s), say_time(p95_s)))
    if rows:
        names, medians, slowest = zip(*rows, strict=True)
        columns = [Column("time", names, words=True), Column("p50", medians)]
        yield Sheet("", [*columns, Column("p95", slowest)])
