"""Metrics: what a server has done, counted for Prometheus (docs/seeing.md has them all).

Labels come from what the server holds, never from the wire alone: what a request names that is not
held here counts as ``unknown``, so that no client can make series without end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_server.passage import Place
from edge_server.seeing.watching import Asked
from offramp.bundle import Bundle, Manifest
from offramp.errors import UnknownBundleError
from offramp.messages import Answer, Failure, Load
from offramp.network import Network

__all__ = ["END", "UNKNOWN", "ServerMetrics", "Watched"]

UNKNOWN = "unknown"
END = "end"
_NONE = "none"
_SECONDS = (
    *(1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0),
)
_SAMPLES = (1, 2, 4, 8, 16, 32, 64)
_NOT_REFUSED = ("OK", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL")


class Watched(Protocol):
    """A server, as far as its state is read when Prometheus asks."""

    @property
    def networks(self) -> Mapping[str, Network]:
        """What is in memory, by digest."""

    def bundle(self, digest: str) -> Bundle:
        """Return a bundle that is known, in memory or not; raise `UnknownBundleError` if none."""

    @property
    def streams(self) -> int:
        """How many streams are open."""

    def load(self) -> Load:
        """Return how busy it is now."""


class ServerMetrics:
    """Counts what it is told of one server, a `Watcher`, in a registry of its own.

    `stepped` may be called from any thread, as `Engine.stepped`.
    """

    def __init__(self, watched: Watched, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self._watched = watched
        self._requests = Counter(
            "offramp_server_requests",
            "Samples that left, by the exit that answered and the status.",
            ("model", "cut", "exit", "outcome"),
            registry=registry,
        )
        self._refusals = Counter(
            "offramp_server_refusals",
            "Samples, streams and calls that were turned away, by why.",
            ("reason",),
            registry=registry,
        )
        self._received = _plain(
            "offramp_server_received_bytes", "Size of the samples' requests.", registry
        )
        self._sent = _plain("offramp_server_sent_bytes", "Size of the samples' answers.", registry)
        self._spans = {
            name: _seconds(f"offramp_server_{name}_seconds", text, ("model",), registry)
            for name, text in (
                ("queue", "Time for which answered samples waited for the engine."),
                ("decode", "Time in which answered samples' frames were checked and decoded."),
                ("encode", "Time in which answered samples' outputs were encoded."),
                ("total", "Time from a sample's reception until its answer left."),
            )
        }
        self._segments = _seconds(
            "offramp_server_segment_seconds",
            "Time of each step of the engine, of all samples in it together.",
            ("model", "segment"),
            registry,
        )
        self._batches = Histogram(
            "offramp_server_batch_samples",
            "Samples that took a step of the engine together.",
            ("model", "segment"),
            buckets=_SAMPLES,
            registry=registry,
        )
        registry.register(_State(watched))
        ProcessCollector(registry=registry)

    def answered(self, asked: Asked, answer: Answer, sent_bytes: int) -> None:
        """Count a sample that leaves, and where its time went if it is answered."""
        model, cut = self._labels(asked)
        failure, timeline = answer.failure, answer.timeline
        outcome = failure.status if failure else "OK"
        at_exit = _NONE if failure else self._exit_of(asked, answer)
        self._requests.labels(model, cut, at_exit, outcome).inc()
        self._received.inc(timeline.received_bytes)
        self._sent.inc(sent_bytes)
        if failure:
            if outcome not in _NOT_REFUSED:
                self.turned_away(failure)
            return
        for name, spent_s in (
            ("queue", timeline.queue_s),
            ("decode", timeline.decode_s),
            ("encode", timeline.encode_s),
            ("total", timeline.total_s),
        ):
            self._spans[name].labels(model).observe(spent_s)

    def turned_away(self, failure: Failure) -> None:
        """Count a refusal."""
        self._refusals.labels(failure.cause or failure.status.lower()).inc()

    def stepped(self, place: Place, until: int, samples: int, took_s: float) -> None:
        """Count a step of the engine."""
        manifest = self._manifest(place.digest)
        labels = manifest.name if manifest else UNKNOWN, _step(place, until)
        self._segments.labels(*labels).observe(took_s)
        self._batches.labels(*labels).observe(samples)

    def _exit_of(self, asked: Asked, answer: Answer) -> str:
        """Return the name of the exit that answered, `END` for the end of the model."""
        manifest = self._manifest(asked.digest)
        if answer.exit is None or manifest is None:
            return END
        return manifest.exits[answer.exit].name

    def _labels(self, asked: Asked) -> tuple[str, str]:
        """Return the model and the cut that a request named, as far as they exist."""
        manifest = self._manifest(asked.digest)
        if manifest is None:
            return UNKNOWN, UNKNOWN
        cut = str(asked.cut) if 0 <= asked.cut < len(manifest.segments) else UNKNOWN
        return manifest.name, cut

    def _manifest(self, digest: str) -> Manifest | None:
        try:
            return self._watched.bundle(digest).manifest
        except UnknownBundleError:
            return None


class _State(Collector):
    """What holds at the moment at which Prometheus asks."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        load = self._watched.load()
        for name, text, value in (
            ("waiting_samples", "Samples that wait for the engine.", load.queued),
            ("running_samples", "Samples that are in the engine.", load.running),
            ("streams", "Streams that are open.", self._watched.streams),
            ("bundles", "Bundles that are in memory.", len(self._watched.networks)),
            ("wait_seconds", "How long a sample that came now would wait.", load.queue_s),
            (
                "price_seconds",
                "How much longer one more sample makes all others together wait.",
                load.price_s,
            ),
            ("cpu_share", "The process's share of all processors, 0 to 1.", load.cpu_share),
        ):
            yield GaugeMetricFamily(f"offramp_server_{name}", text, value)


def _step(place: Place, until: int) -> str:
    """Return a name for a step: its segment, the first and last of several, or the decoder."""
    if place.narrow:
        return f"decoder{place.at}"
    return str(place.at) if until <= place.at + 1 else f"{place.at}-{until - 1}"


def _plain(name: str, text: str, registry: CollectorRegistry) -> Counter:
    return Counter(name, text, registry=registry)


def _seconds(
    name: str, text: str, labels: tuple[str, ...], registry: CollectorRegistry
) -> Histogram:
    return Histogram(name, text, labels, buckets=_SECONDS, registry=registry)
