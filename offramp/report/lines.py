"""Lines of a run file: the fields that a report reads, checked.

Fields that are not named here are left alone, so that a newer agent's files can still be read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from offramp.bundle.quantised import Quantised

__all__ = [
    "LINES",
    "Line",
    "LinkLine",
    "LoadLine",
    "MachineField",
    "PhaseField",
    "PhasesLine",
    "PlanLine",
    "ResultLine",
    "RunLine",
]

Seconds = Annotated[float, Field(ge=0, le=1e8)]
Bandwidth = Annotated[float, Field(ge=0, le=1e15)]


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class MachineField(_Fields):
    """The machine that stands for the board."""

    processor: str = "unknown"
    cores: int = 0
    system: str = "unknown"


class RunLine(_Fields):
    """The first line of a run: what ran, on what, and with which settings."""

    strategy: str
    model: str
    digest: str
    segments: Annotated[int, Field(ge=1, le=100_000)]
    exits: tuple[str, ...] = ()
    machine: MachineField = MachineField()
    slowdown: Annotated[float, Field(gt=0)] = 1.0
    slowdown_source: str = ""
    whole_model_s: Seconds | None = None
    compute_w: Annotated[float, Field(ge=0, le=1e6)] | None = None
    quantised: Quantised | None = None
    deadline_s: Seconds | None = None
    rate_hz: float | None = None
    offramp: str = ""


class ResultLine(_Fields):
    """What became of one sample."""

    id: int
    status: Literal["ok", "degraded", "dropped", "failed"]
    by: str = ""
    later: str = ""
    answer: int | list[Any] | None = None
    label: int | None = None
    arrived_s: Seconds
    latency_s: Seconds
    deadline_s: Seconds | None = None
    sent_bytes: Annotated[int, Field(ge=0, le=1 << 50)] = 0
    hedge_s: Seconds = 0.0
    spans: dict[str, Seconds] = {}

    @property
    def answered(self) -> bool:
        """Whether there is an answer, in time or not."""
        return self.answer is not None

    @property
    def late(self) -> bool:
        """Whether the answer came after the deadline, or never."""
        return not self.answered or (
            self.deadline_s is not None and self.latency_s > self.deadline_s
        )


class _Conditions(_Fields):
    bandwidth_bps: Bandwidth
    reachable: bool = True


class PlanLine(_Fields):
    """A plan taken up at a time, with what was believed of the link then."""

    at_s: Seconds
    id: str
    cut: Annotated[int, Field(ge=0)]
    level: str | None = None
    reason: str = ""
    conditions: _Conditions | None = None


class LoadLine(_Conditions):
    """What was believed of the link at a time."""

    at_s: Seconds


class LinkLine(_Fields):
    """The connection came up or went down; before the run's start the time is negative."""

    at_s: Annotated[float, Field(ge=-1e8, le=1e8)]
    up: bool


class PhaseField(_Fields):
    """What the link truly was from a time on; a bandwidth of 0 delivers nothing."""

    name: str
    start_s: Seconds
    bandwidth_bps: Bandwidth
    delay_s: Seconds = 0.0


class PhasesLine(_Fields):
    """The link's true phases, written by whoever shaped it."""

    phases: tuple[PhaseField, ...]


Line = RunLine | ResultLine | PlanLine | LoadLine | LinkLine | PhasesLine

LINES: dict[str, type[Line]] = {
    "run": RunLine,
    "result": ResultLine,
    "plan": PlanLine,
    "load": LoadLine,
    "link": LinkLine,
    "phases": PhasesLine,
}
