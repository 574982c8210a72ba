"""The contract of a source: where samples come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from offramp.tensors import Array

__all__ = ["Sample", "Source"]


@dataclass(frozen=True)
class Sample:
    """One input, an array without batch dimension for each input tensor; its label if known."""

    inputs: tuple[Array, ...]
    label: int | None = None
    name: str = ""


class Source(Protocol):
    """Samples in order. ``count`` is how many there are, or None if that is not known.

    A source checks what it can when it is made and raises `ConfigError` or `InputError` then.
    """

    count: int | None

    def __iter__(self) -> Iterator[Sample]: ...
