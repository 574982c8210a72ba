"""Probes are on a data plan's bill: they take what samples leave of it."""

import math
from random import Random

import pytest

from device.allowance import Allowance
from device.controller import Controller
from offramp.messages import Load, Timeline
from partitioner import strategies
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.objective import Limits, Objective
from partitioner.plan import Plan

SENT = Plan(1, "channel3", "confidence", ())


def test_without_a_limit_there_is_no_end():
    free = Allowance(None)
    free.spend(1e12)
    free.grant()
    assert free.left_bytes == math.inf


def test_each_sample_brings_so_many_bytes_and_what_goes_out_takes_them():
    allowance, left = Allowance(200), []
    for size_bytes in (0, 150, 500, 0, 0):
        allowance.grant()
        allowance.spend(size_bytes)
        left.append(allowance.left_bytes)
    assert left == [200, 250, -50, 150, 350]


def run(planner, each_bytes, share, samples=3000):
    """Let a share of samples go out with 300 bytes each, and probes when the controller asks.

    Return the bytes of both and the probes' number. Every message is answered at once.
    """
    objective = Objective(limits=Limits(uplink_bytes=each_bytes))
    controller = Controller(planner, objective, strategies.get("offramp"))
    dice, up_bytes, probe_bytes, probes = Random(1), 0, 0, 0

    def exchange(now_s, message, padding_bytes, plan):
        controller.sent(now_s, message, padding_bytes, plan)
        controller.answered(now_s + 0.03, message, Timeline(), Load())
        return padding_bytes + FRAME_OVERHEAD_BYTES

    for at in range(samples):
        now_s = 0.1 * at
        if dice.random() < share:
            up_bytes += exchange(now_s, at, 300 - FRAME_OVERHEAD_BYTES, SENT)
        else:
            controller.kept_here()
        controller.plan(now_s)
        while (padding_bytes := controller.probe_bytes(now_s + 0.05)) is not None:
            probe_bytes += exchange(now_s + 0.05, 10**6 + probes, padding_bytes, None)
            probes += 1
    return up_bytes, probe_bytes, probes


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_samples_and_probes_together_keep_a_data_plan(planner, share):
    free = run(planner, None, share)
    assert free[0] + free[1] > 100 * 3000  # so that there is something to keep
    up_bytes, probe_bytes, probes = run(planner, 100, share)
    assert up_bytes == free[0]
    assert up_bytes + probe_bytes <= 100 * 3000
    assert up_bytes + probe_bytes > 0.9 * 100 * 3000  # little of it is left unused
    assert 0 < probes < free[2]


def test_a_data_plan_that_is_used_up_lets_no_probe_out_and_wakes_nobody(planner):
    objective = Objective(limits=Limits(uplink_bytes=100))
    controller = Controller(planner, objective, strategies.get("offramp"))
    controller.sent(0.0, 1, 5000, SENT)
    assert controller.next_probe_s(1.0) == math.inf
    assert controller.probe_bytes(1000.0) is None
    controller.withdrawn(1)
    controller.kept_here()
    assert controller.next_probe_s(1.0) < math.inf
    assert controller.probe_bytes(1000.0) is not None
