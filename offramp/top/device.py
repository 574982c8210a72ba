"""The view of a device: who answers its samples, under which plan, over which link."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from offramp.quantities import say_bandwidth, say_time
from offramp.sheet import Sheet
from offramp.top.reading import Change, Labels, Reading
from offramp.top.words import each_second, joined, known, shares

__all__ = ["view_device"]

_NAME = "offramp_device_"
_SAMPLES = f"{_NAME}samples_total"


def view_device(change: Change) -> Iterator[Text | Sheet]:
    """Yield the lines of one device."""
    now, latency = change.now, f"{_NAME}latency_seconds"
    yield joined(
        each_second(change.rate(_SAMPLES), "samples"),
        known("p50 {}", change.quantile(latency, 0.5), say_time),
        known("p95 {}", change.quantile(latency, 0.95), say_time),
        each_second(change.rate(f"{_NAME}late_samples_total"), "late"),
    )
    yield joined(_plan(now), each_second(change.rate(f"{_NAME}plan_changes_total"), "plans"))
    yield joined(_link(now))
    for title, key in (("answered by", _answerer), ("at cut", _cut)):
        if parts := change.parts(_SAMPLES, key):
            yield Text(f"{title}: {shares(parts)}")
    if why := change.parts(f"{_NAME}unplanned_samples_total", _why):
        total = change.added(_SAMPLES)
        amount = sum(why.values()) / total if total else 1.0
        yield Text(f"not as planned: {amount:.0%} ({shares(why)})", "yellow")


def _plan(now: Reading) -> str:
    for labels in now.labelled(f"{_NAME}plan"):
        level = labels.get("level", "none")
        sends = "nothing" if level == "none" else level
        return f"plan: cut {labels.get('cut')}, sends {sends}"
    return "no plan yet"


def _link(now: Reading) -> str:
    """Return the state of the connection, and what is believed of the link."""
    if not now.total(f"{_NAME}connected"):
        return "not connected"
    if now.total(f"{_NAME}breaker_open"):
        return "connected, but the server is left alone after failures"
    bandwidth_bps = now.total(f"{_NAME}bandwidth_bits_per_second")
    sigma = now.total(f"{_NAME}bit_sigma_seconds")
    rtt_s, rtt_sigma_s = now.total(f"{_NAME}rtt_seconds"), now.total(f"{_NAME}rtt_sigma_seconds")
    if bandwidth_bps is None or sigma is None or rtt_s is None or rtt_sigma_s is None:
        return "connected"
    cautious_bps = 1 / (1 / bandwidth_bps + sigma) if bandwidth_bps > 0 else 0.0
    return (
        f"connected: {say_bandwidth(bandwidth_bps)}, if cautious {say_bandwidth(cautious_bps)}; "
        f"round trip {say_time(rtt_s)} ± {say_time(rtt_sigma_s)}"
    )


def _answerer(labels: Labels) -> str | None:
    place, at_exit = labels.get("place", ""), labels.get("exit", "")
    if place == "none":
        return "nobody"
    return place if at_exit == "end" else f"exit {at_exit} ({place})"


def _cut(labels: Labels) -> str | None:
    return labels.get("cut")


def _why(labels: Labels) -> str | None:
    return f"{labels.get('outcome')}: {labels.get('reason')}"
