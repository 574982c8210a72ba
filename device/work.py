"""Work: what the dispatch knows of a sample, and the actions that it asks for.

None of it holds a tensor, so that the simulator can make the same events and actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from device.board import Board
from device.fallback import Option
from device.in_force import PlanChange
from device.result import Status
from offramp.messages import Probe
from partitioner.conditions import Conditions
from partitioner.plan import Plan

if TYPE_CHECKING:
    from device.deployment import Deployment

__all__ = [
    "Action",
    "BundleChange",
    "FallBack",
    "Finish",
    "LinkChange",
    "LoadDue",
    "Reached",
    "RunHead",
    "RunOn",
    "Send",
    "Work",
]


@dataclass(eq=False, slots=True)
class Work:
    """A sample under way; the dispatch alone writes it, and no more after `Finish`.

    Times ending a name in ``_s`` are points on the caller's clock, but for ``wait_s`` (until its
    head began), ``fallback_s`` (in the fallback) and ``hedge_s`` (computing on while the answer was
    under way), which are spans. ``size_bytes`` is the encoded boundary's size, ``sent_bytes`` what
    of it left the device. The device has come to boundary ``at``, the ``exits`` have run, and what
    is left takes what its ``board`` says: ``options``, from the best answer to the quickest. From
    ``pays_s`` on it pays to compute on. While its answer is ``counted_on`` the processor is not
    kept free for one of the device's own. ``reason`` says why the server's answer is no longer
    waited for, or why there is none.
    """

    id: int
    arrived_s: float
    deadline_s: float
    plan: Plan | None = None
    wait_s: float = 0.0
    options: Sequence[Option] = ()
    size_bytes: int = 0
    sent_s: float = 0.0
    sent_bytes: int = 0
    answer_s: float = 0.0
    expected_s: float = 0.0
    give_up_s: float = 0.0
    overdue: bool = False
    counted_on: bool = False
    begun_s: float = 0.0
    fallback_s: float = 0.0
    board: Board | None = None
    at: int = 0
    exits: frozenset[int] = frozenset()
    pays_s: float = 0.0
    step_begun_s: float = 0.0
    hedge_s: float = 0.0
    reason: str = ""

    @property
    def quickest_s(self) -> float:
        """How long its quickest answer on the device takes, once its head is done."""
        return self.options[-1].time_s if self.options else 0.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What a head came to: its boundary, the exits that ran, and the time in both.

    It is ``answered``, and then ``hurried`` if for want of time at an exit that was not sure; or
    it is encoded in ``size_bytes``, which took ``encode_s``.
    """

    at: int
    exits: frozenset[int]
    head_s: float
    answered: bool = False
    hurried: bool = False
    size_bytes: int = 0
    encode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RunHead:
    """Run the head of ``work`` under its plan on the processor, and encode what is to be sent.

    If the plan sends nothing, leave at the best exit that ends by ``until_s``, where each step
    takes ``stretch`` times what the profile says.
    """

    work: Work
    until_s: float
    stretch: float


@dataclass(frozen=True, slots=True)
class FallBack:
    """Answer ``work`` on the processor with the best option that ends by ``until_s``."""

    work: Work
    until_s: float
    stretch: float


@dataclass(frozen=True, slots=True)
class RunOn:
    """Run one more segment of ``work``, whose answer is under way, on the processor."""

    work: Work


@dataclass(frozen=True, slots=True)
class Send:
    """Hand the encoded boundary of ``work`` to the stream, which can take it now."""

    work: Work


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the result of ``work``: answered ``by`` the device, the server, or not at all."""

    work: Work
    status: Status
    by: Literal["", "device", "server"] = ""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """Write that the connection opened, or is not there and why."""

    at_s: float
    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LoadDue:
    """Write the device's load and these conditions."""

    at_s: float
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class BundleChange:
    """Run every head from now on with this deployment."""

    at_s: float
    deployment: Deployment


Action = (
    RunHead
    | FallBack
    | RunOn
    | Send
    | Probe
    | Finish
    | PlanChange
    | LinkChange
    | LoadDue
    | BundleChange
)
"""What the dispatch asks for. A `Probe` goes to the stream as `Send` does; a `PlanChange` is to be
written."""
