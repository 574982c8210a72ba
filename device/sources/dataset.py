"""Source `dataset`: a Python function ``module:name`` that returns (inputs, labels)."""

from __future__ import annotations

from collections.abc import Iterator

from device.sources.source import Sample
from offramp.references import call_reference
from offramp.samples import as_labelled

__all__ = ["DatasetSource"]


class DatasetSource:
    """The samples of a data function, in its order."""

    def __init__(self, reference: str) -> None:
        self._samples = as_labelled(call_reference(reference))
        self.count: int | None = len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        for at, label in enumerate(self._samples.labels):
            yield Sample(tuple(array[at] for array in self._samples.inputs), int(label))
