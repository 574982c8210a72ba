"""The link conditions, by the name that a link description gives them."""

from __future__ import annotations

from sim.link.condition import Chain, Condition, ConditionSettings
from sim.link.course import Course, steady
from sim.link.delay import Delay
from sim.link.handover import Handover
from sim.link.jitter import Jitter
from sim.link.loss import Loss
from sim.link.noop import Noop
from sim.link.outage import Outage
from sim.link.rate import Rate

__all__ = ["CONDITIONS", "Chain", "Condition", "ConditionSettings", "Course", "steady"]

CONDITIONS: dict[str, type[Condition]] = {
    "delay": Delay,
    "handover": Handover,
    "jitter": Jitter,
    "loss": Loss,
    "noop": Noop,
    "outage": Outage,
    "rate": Rate,
}
