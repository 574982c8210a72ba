"""Readings: what an endpoint showed at a time, and what changed between two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from offramp.errors import LinkError

__all__ = ["Change", "Labels", "Reading", "quantile", "read"]

Labels = Mapping[str, str]
_Series = tuple[tuple[Labels, float], ...]


@dataclass(frozen=True)
class Reading:
    """The samples that an endpoint showed at ``at_s``, by their names."""

    at_s: float
    samples: Mapping[str, _Series]

    def total(self, name: str, **wanted: str) -> float | None:
        """Return the sum over the series that have these labels; None if there are none."""
        values = [v for labels, v in self.samples.get(name, ()) if wanted.items() <= labels.items()]
        return sum(values) if values else None

    def labelled(self, name: str) -> list[Labels]:
        """Return the labels of each series of a name."""
        return [labels for labels, _ in self.samples.get(name, ())]


def read(text: str, at_s: float) -> Reading:
    """Read the text that Prometheus reads; raise `LinkError` if it is something else."""
    found: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name].append((sample.labels, float(sample.value)))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):  # all that it raises
        raise LinkError("what is shown there are no metrics") from None
    return Reading(at_s, {name: tuple(series) for name, series in found.items()})


@dataclass(frozen=True)
class Change:
    """What an endpoint did from one reading to the next; without ``before``, since its start."""

    before: Reading | None
    now: Reading

    @property
    def spent_s(self) -> float:
        """The time between them; 0 if there was none before."""
        return self.now.at_s - self.before.at_s if self.before else 0.0

    def added(self, name: str, **wanted: str) -> float:
        """Return by how much counters grew; one that is smaller than before began anew."""
        now = self.now.total(name, **wanted) or 0.0
        before = (self.before.total(name, **wanted) if self.before else None) or 0.0
        return now - before if now >= before else now

    def rate(self, name: str, **wanted: str) -> float | None:
        """Return by how much counters grew in a second; None if nobody knows yet."""
        return self.added(name, **wanted) / self.spent_s if self.spent_s > 0 else None

    def mean(self, name: str) -> float | None:
        """Return the mean of what a histogram took in, over all labels."""
        count = self.added(f"{name}_count")
        return self.added(f"{name}_sum") / count if count else None

    def quantile(self, name: str, share: float) -> float | None:
        """Return a quantile of what a histogram took in, over all labels."""
        edges = {labels["le"] for labels in self.now.labelled(f"{name}_bucket") if "le" in labels}
        return quantile(share, {float(le): self.added(f"{name}_bucket", le=le) for le in edges})

    def parts(self, name: str, key: Callable[[Labels], str | None]) -> dict[str, float]:
        """Return by how much counters grew, added up by what ``key`` makes of their labels."""
        parts: dict[str, float] = {}
        for labels in self.now.labelled(name):
            word = key(labels)
            if word is not None and (more := self.added(name, **labels)):
                parts[word] = parts.get(word, 0.0) + more
        return parts


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile from cumulative counts by upper edge, evenly spread within each bucket.

    None if there is nothing; what lies beyond the last finite edge is told as that edge.
    """
    edges = sorted(buckets)
    total = buckets[edges[-1]] if edges else 0.0
    if total <= 0:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for edge in edges[:-1]:
        count = buckets[edge]
        if count >= rank:
            return low + (edge - low) * (rank - below) / (count - below) if count > below else edge
        low, below = edge, count
    return low
