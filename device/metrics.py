"""Metrics: what a device's samples, plans and link came to, counted for Prometheus.

It is one more sink: it counts the lines that the others write. docs/seeing.md has all metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from device.reasons import word
from device.turns import turn

__all__ = ["MetricsSink"]

_NONE, _END = "none", "end"
_SECONDS = (
    *(1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0),
)
_BYTES = tuple(4.0**power for power in range(3, 13))  # 64 bytes to 16 MiB


class MetricsSink:
    """Counts lines in a registry of its own; see `Sink`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self._believed: Mapping[str, Any] = {}
        self._planned: Mapping[str, Any] | None = None
        self._renewed = False
        self._samples = Counter(
            "offramp_device_samples",
            "Samples that were finished, by where they were answered and how it went.",
            ("cut", "exit", "place", "outcome"),
            registry=registry,
        )
        self._unplanned = Counter(
            "offramp_device_unplanned_samples",
            "Samples that did not go as planned, by why.",
            ("outcome", "reason"),
            registry=registry,
        )
        self._late = Counter(
            "offramp_device_late_samples",
            "Samples that were answered after their deadline, or not at all.",
            registry=registry,
        )
        self._latency = Histogram(
            "offramp_device_latency_seconds",
            "Time from a sample's arrival to its answer.",
            ("place",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._spans = Histogram(
            "offramp_device_span_seconds",
            "Where samples' time went, for each span that they had.",
            ("span",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._frames = Histogram(
            "offramp_device_frame_bytes",
            "Size of the encoded boundaries that left the device.",
            ("cut", "level"),
            buckets=_BYTES,
            registry=registry,
        )
        self._turns = Counter(
            "offramp_device_plan_changes",
            "Plans that came into force, by what had changed most.",
            ("reason",),
            registry=registry,
        )
        self._plan = Gauge(
            "offramp_device_plan",
            "The plan in force: 1 at its cut and codec level.",
            ("cut", "level"),
            registry=registry,
        )
        self._connected = Gauge(
            "offramp_device_connected",
            "1 while the stream to the server is open.",
            registry=registry,
        )
        self._breaks = Counter(
            "offramp_device_disconnections",
            "Times that the connection broke or could not be opened.",
            registry=registry,
        )
        self._breaker = Gauge(
            "offramp_device_breaker_open",
            "1 while the server is left alone after failures.",
            registry=registry,
        )
        registry.register(_Beliefs(lambda: self._believed))
        ProcessCollector(registry=registry)

    def read_breaker(self, is_open: Callable[[], bool]) -> None:
        """Ask ``is_open`` for the breaker's state whenever metrics are read."""
        self._breaker.set_function(is_open)

    def write(self, line: dict[str, Any]) -> None:
        """Count one line."""
        match line["kind"]:
            case "result":
                self._count(line)
            case "plan":
                self._take_plan(line)
            case "load":
                self._believed = line
            case "link":
                self._connected.set(line["up"])
                if not line["up"]:
                    self._breaks.inc()
            case "bundle" if "refused" not in line:
                self._renewed = True

    def close(self) -> None:
        """Do nothing: what was counted may still be read."""

    def _count(self, line: dict[str, Any]) -> None:
        cut, status = str(line.get("cut", _NONE)), line["status"]
        place, at_exit = _answered(line.get("by", ""), line.get("later", ""))
        self._samples.labels(cut, at_exit, place, status).inc()
        if why := word(status, line.get("reason", "")):
            self._unplanned.labels(status, why).inc()
        if line["late"]:
            self._late.inc()
        if place != _NONE:
            self._latency.labels(place).observe(line["latency_s"])
        for name, spent_s in line.get("spans", {}).items():
            self._spans.labels(name.removesuffix("_s")).observe(spent_s)
        if sent_bytes := line["sent_bytes"]:
            self._frames.labels(cut, line["level"]).observe(sent_bytes)

    def _take_plan(self, line: dict[str, Any]) -> None:
        why = "bundle" if self._renewed else turn(self._planned, line["conditions"])
        self._planned, self._renewed = line["conditions"], False
        self._turns.labels(why).inc()
        self._plan.clear()
        self._plan.labels(str(line["cut"]), line["level"] or _NONE).set(1)


class _Beliefs(Collector):
    """What the device believed of link and machines when it last wrote its load."""

    def __init__(self, believed: Callable[[], Mapping[str, Any]]) -> None:
        self._believed = believed

    def collect(self) -> Iterator[Metric]:
        believed = self._believed()
        for name, key, text in (
            ("server_reachable", "reachable", "1 while plans may count on the server."),
            ("bandwidth_bits_per_second", "bandwidth_bps", "Estimate of the uplink's bandwidth."),
            (
                "bit_sigma_seconds",
                "s_per_bit_sigma",
                "Standard deviation of the estimated time that a bit takes on the uplink.",
            ),
            ("rtt_seconds", "rtt_s", "Estimate of the round trip of an empty message."),
            ("rtt_sigma_seconds", "rtt_sigma_s", "Standard deviation of that estimate."),
            ("server_wait_seconds", "queue_s", "Estimate of the wait at the server."),
            ("server_price_seconds", "price_s", "What a request costs all others at the server."),
            ("stretch", "device_stretch", "How many times as long as profiled the device takes."),
            (
                "server_stretch",
                "server_stretch",
                "How many times as long as profiled the server takes.",
            ),
        ):
            family = GaugeMetricFamily(f"offramp_device_{name}", text)
            if believed:
                family.add_metric((), float(believed[key]))
            yield family


def _answered(by: str, later: str) -> tuple[str, str]:
    """Return the place of an answer, and the exit: a name, the model's end, or none."""
    if by.startswith("exit "):
        return "device", by.removeprefix("exit ")
    return (by, later.removeprefix("exit ") or _END) if by else (_NONE, _NONE)
