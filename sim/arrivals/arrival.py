"""The contract of an arrival process.

An arrival process says when requests arrive. It is a pure model: it has no clock, and all that
is random in it follows from the seed that it is asked with. One process serves any number of
devices, each with a seed of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from offramp.settings import Settings

__all__ = ["ArrivalSettings", "Arrivals", "RateHz"]

RateHz = Annotated[float, Field(gt=0, le=1e6)]
"""A mean number of requests per second."""


class ArrivalSettings(Settings):
    """What a scenario says about its arrivals; `kind` names the process."""

    kind: str


class Arrivals(ABC):
    """One way in which requests arrive.

    A subclass states its settings and answers `times_s`, and sets its exact ``mean_rate_hz``.
    """

    Settings: ClassVar[type[ArrivalSettings]]

    mean_rate_hz: float
    """How many requests come a second, in the mean over all time."""

    @abstractmethod
    def __init__(self, settings: Any) -> None:
        """Take the settings; read a recording if there is one, or raise `ConfigError`."""

    @abstractmethod
    def times_s(self, seed: str) -> Iterator[float]:
        """The times of all requests in seconds from a start at 0: endless, and never falling.

        The times are made one by one. The same seed gives the same times.
        """
