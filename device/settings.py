"""Settings of the device agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from device.hedge import HedgeSettings
from device.pace import DEFAULT_SLOWDOWN
from device.security import SecuritySettings
from device.tuning import Tuning
from offramp.address import ListenAddress, PeerAddresses
from offramp.bundle.cache import DEFAULT_LIMIT_BYTES
from offramp.settings import Settings
from offramp.tracing import CollectorUrl
from partitioner.objective import Objective

__all__ = ["AgentSettings"]

Positive = Annotated[float, Field(gt=0, le=86_400)]


class AgentSettings(Settings):
    """What a run of the agent depends on besides bundle, source and server.

    Of several addresses in ``server`` the first that can be used is.
    ``rate_hz`` is how many samples arrive a second; None means that the next one arrives when
    the device is ready for it. Of a full inbox the oldest sample is dropped, and reported. With
    ``max_in_flight`` samples on their way to the server, those that arrive run on the device.
    ``backend`` and ``threads`` are by default the fastest that the profile has for each cut.
    ``slowdown`` makes this machine stand for a slower board; 1 uses it as it is. The objective's
    deadline is ``deadline_s``: one place says when answers are due, to the agent and the planner.
    Nothing is sent from a cut before ``min_cut``: early boundaries tell much of the input.
    ``model`` names the bundle to fetch from a server that has several; what is fetched may take
    ``cache_limit_bytes`` of disk, together with what else is in the cache. With
    ``adaptive_thresholds`` exits follow the samples; of those that could leave, ``sentinel_share``
    go on to tell whether the exit was right, drawn with ``sentinel_seed``. ``hedge`` lets the
    device compute on while an answer is under way, under strategies that count on it; where the
    objective limits memory, it never does. At the address ``metrics``, if one is given, metrics are
    shown to Prometheus; to the collector ``traces`` goes what a ``trace_share`` of samples did.
    ``security`` says how it connects to the server.
    """

    server: PeerAddresses = ()
    model: str | None = None
    cache_limit_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 50)] = DEFAULT_LIMIT_BYTES
    strategy: str = "offramp"
    backend: str | None = None
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    slowdown: Annotated[float, Field(ge=1, le=1000)] = DEFAULT_SLOWDOWN
    rate_hz: Positive | None = None
    min_cut: Annotated[int, Field(ge=0, le=65_536)] = 0
    deadline_s: Positive = 0.25
    max_in_flight: Annotated[int, Field(ge=1, le=1024)] = 4
    inbox: Annotated[int, Field(ge=1, le=65536)] = 4
    connect_s: Positive = 3.0
    metrics: ListenAddress | None = None
    traces: CollectorUrl | None = None
    trace_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    adaptive_thresholds: bool = False
    sentinel_share: Annotated[float, Field(gt=0, le=0.5)] = 0.02
    sentinel_seed: Annotated[int, Field(ge=0, le=1 << 32)] = 0
    objective: Annotated[Objective, Field(validate_default=True)] = Objective()
    tuning: Tuning = Tuning()
    security: SecuritySettings = SecuritySettings()
    hedge: Annotated[HedgeSettings, Field(validate_default=True)] = HedgeSettings()

    @field_validator("objective", mode="before")
    @classmethod
    def _lends_its_deadline(cls, objective: Any, info: ValidationInfo) -> Any:
        """Give the objective the run's deadline before it is checked: some measures need one."""
        if not isinstance(objective, Mapping) or objective.get("deadline_s") is not None:
            return objective
        return {**objective, "deadline_s": info.data.get("deadline_s")}  # absent if it is wrong

    @field_validator("objective")
    @classmethod
    def _has_one_deadline(cls, objective: Objective, info: ValidationInfo) -> Objective:
        deadline_s = info.data.get("deadline_s", objective.deadline_s)  # absent if it is wrong
        if objective.deadline_s not in (None, deadline_s):
            raise ValueError(
                f"its deadline_s {objective.deadline_s:g} contradicts the deadline_s "
                f"{deadline_s:g} of the run; set the latter alone"
            )
        return objective.model_copy(update={"deadline_s": deadline_s})

    @field_validator("hedge", mode="before")
    @classmethod
    def _leaves_memory(cls, hedge: Any, info: ValidationInfo) -> Any:
        """Turn computing on off where memory is limited, which it would take all of a model's."""
        objective = info.data.get("objective")  # absent if it is wrong
        if objective is None or not objective.spares_memory:
            return hedge
        if isinstance(hedge, Mapping) and hedge.get("max_cpu_share", 1) != 0:
            raise ValueError(
                "the objective limits memory, and to compute on the device needs the whole model; "
                "leave out the one or the other, or give max_cpu_share: 0"
            )
        return HedgeSettings(max_cpu_share=0.0)
