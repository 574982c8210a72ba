"""Settings of the controller."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from offramp.settings import Settings

__all__ = ["Tuning"]


class Tuning(Settings):
    """How eagerly the controller acts; times in seconds.

    A new plan must be better than the one in force by ``switch_sigmas`` standard deviations of that
    gain, as far as bandwidth and round trip are in doubt. Switching itself costs nothing: both ends
    hold every segment, and a codec level that takes long to load is loaded before. A server's wait
    and price count up to ``heed_spread`` times as much or as little, for each device otherwise, but
    the wait once at least, so that they do not all come and go together; 1 is the same for all.
    To a better server the device returns when it has been well for ``return_s``, or for up to twice
    as long, each device otherwise.
    """

    replan_s: Annotated[float, Field(ge=0, le=3600)] = 0.25
    probe_s: Annotated[float, Field(gt=0, le=3600)] = 0.5
    switch_sigmas: Annotated[float, Field(ge=0, le=10)] = 0.3
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 2
    breaker_retry_s: Annotated[float, Field(gt=0, le=3600)] = 0.5
    heed_spread: Annotated[float, Field(ge=1, le=100)] = 4.0
    return_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
