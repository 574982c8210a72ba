"""A virtual server alone: exact logs, and queues as theory has them."""

from random import Random

import pytest

from edge_server.scheduling.sample import Room
from edge_server.security.clients import Client
from sim.world.clock import Clock
from sim.world.course import LoadCourse
from sim.world.job import Job
from sim.world.server import Capacity, VirtualServer
from sim.world.tail import Tail

DIGEST = "1" * 64
BOARD = Client("board")


class Devices:
    """Keeps what a server tells of jobs: (ms, job, what)."""

    def __init__(self, planner, fixed_share=0.0, counted_from_s=0.0, load=None, **room):
        self.clock, self.log, self.timelines = Clock(), [], []
        tails = {DIGEST: Tail(planner.server, fixed_share)}
        capacity = Capacity(Room(**room), load=load or LoadCourse())
        self.server = VirtualServer(self.clock, tails, capacity, counted_from_s)

    def send(self, number, at_s, cut=1, timeout_s=0.0, client=BOARD, **later):
        job = Job(self, client, 0, number, DIGEST, cut, "raw", timeout_s, 1000, **later)
        self.clock.at(at_s, self.server.arrive, job)

    def run(self):
        self.clock.run()
        return self.log

    def served(self, job, timeline, load):
        self.timelines.append(timeline)
        self.log.append((round(self.clock.now_s * 1e3, 3), job.id, "served"))

    def turned_away(self, job, failure):
        self.log.append((round(self.clock.now_s * 1e3, 3), job.id, failure.status))


def test_jobs_go_from_segment_to_segment_of_1_ms_by_their_deadlines(planner):
    """Job 0 began, and lets job 1, whose deadline is earlier, pass between its two segments."""
    devices = Devices(planner)
    devices.send(0, 0.0, cut=0, timeout_s=0.1)
    devices.send(1, 0.0005, cut=1, timeout_s=0.01)
    assert devices.run() == [(2.0, 1, "served"), (3.0, 0, "served")]
    first, last = devices.timelines
    assert (first.queue_s, first.segment_s) == (pytest.approx(0.0005), (0.001,))
    assert (last.queue_s, last.segment_s) == (pytest.approx(0.001), (0.001, 0.001))
    assert last.total_s == pytest.approx(0.003)


def test_two_workers_take_two_jobs_at_once(planner):
    devices = Devices(planner, workers=2)
    for number in range(3):
        devices.send(number, 0.0)
    assert devices.run() == [(1.0, 0, "served"), (1.0, 1, "served"), (2.0, 2, "served")]


def test_a_full_queue_turns_away_and_what_waited_too_long_expires(planner):
    slow = LoadCourse(steps=[{"from_s": 0, "stretch": 10}])
    devices = Devices(planner, queue_length=2, load=slow)
    for number, timeout_s in enumerate((1.0, 1.0, 0.005, 1.0)):
        devices.send(number, number * 1e-3, timeout_s=timeout_s)
    assert devices.run() == [
        (3.0, 3, "RESOURCE_EXHAUSTED"),
        (10.0, 0, "served"),
        (10.0, 2, "DEADLINE_EXCEEDED"),
        (20.0, 1, "served"),
    ]


def test_after_fifty_jobs_from_one_cut_its_tail_runs_as_one_step(planner):
    devices = Devices(planner)
    for number in range(60):
        devices.send(number, number * 0.01, cut=0)
    devices.run()
    steps = [len(timeline.segment_s) for timeline in devices.timelines]
    assert steps == [2] * 49 + [1] * 11
    assert all(sum(t.segment_s) == pytest.approx(0.002) for t in devices.timelines)


def test_a_job_that_leaves_at_an_exit_frees_its_place(planner):
    """The exit takes 0.1 ms behind segment 0; jobs 0 and 2 leave there, and the step costs it."""
    devices = Devices(planner)
    for number in range(4):
        end = 1 if number % 2 == 0 else None
        devices.send(number, number * 0.01, cut=0, end=end, asks=((1, 0),))
    assert devices.run() == [
        (1.1, 0, "served"),
        (12.1, 1, "served"),
        (21.1, 2, "served"),
        (32.1, 3, "served"),
    ]
    spans = [timeline.segment_s for timeline in devices.timelines]
    assert spans == [pytest.approx(s) for s in [(0.0011,), (0.0011, 0.001)] * 2]


def test_an_exit_takes_several_jobs_as_a_segment_does(planner):
    assert Tail(planner.server, 0.5).exit_s(0, 3) == pytest.approx(0.0001 * (0.5 + 0.5 * 3))


def test_a_fused_tail_stops_where_a_job_may_leave(planner):
    devices = Devices(planner)
    for number in range(60):
        devices.send(number, number * 0.01, cut=0, asks=((1, 0),))
    devices.send(60, 0.6, cut=0)
    devices.run()
    assert {len(timeline.segment_s) for timeline in devices.timelines} == {2}


def test_it_was_busy_whoever_still_waited_for_what_it_did(planner):
    """The stream of job 0 breaks behind its first segment, while job 1 has passed it."""
    slow = LoadCourse(steps=[{"from_s": 0, "stretch": 10}])
    devices = Devices(planner, load=slow)
    devices.send(0, 0.0, cut=0, timeout_s=1.0)
    devices.send(1, 0.001, cut=0, timeout_s=0.5)
    devices.clock.at(0.015, devices.server.withdraw, devices)
    assert devices.run() == [(30.0, 1, "served")]
    totals = devices.server.totals
    assert (totals.accepted, totals.answered) == (2, 1)
    assert totals.busy_s == pytest.approx(0.03)
    assert totals.batches == {1: 3}


def test_what_came_before_the_count_is_none_of_its_figures(planner):
    devices = Devices(planner, counted_from_s=0.0105)
    for number in range(20):
        devices.send(number, number * 1e-3)
    devices.run()
    totals = devices.server.totals
    assert len(devices.timelines) == 20
    assert (totals.accepted, totals.answered) == (9, 9)
    # Of the step that is under way then, the second half.
    assert totals.busy_s == pytest.approx(0.0095)
    assert sum(totals.batches.values()) == 9


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_with_constant_service_it_queues_as_an_m_d_1(planner, load):
    """The mean wait is load / 2 / (1 - load) service times (Pollaczek and Khinchine).

    A batch saves nothing here: now and then one is tried, and takes as long as one by one.
    """
    devices, dice, at_s, service_s = Devices(planner, queue_length=10_000), Random(5), 0.0, 0.001
    for number in range(30_000):
        at_s += dice.expovariate(load / service_s)
        devices.send(number, at_s)
    devices.run()
    assert len(devices.timelines) == 30_000
    assert devices.server.totals.batches[1] > 29_500
    wait_s = sum(t.total_s - service_s for t in devices.timelines) / len(devices.timelines)
    assert wait_s == pytest.approx(load * service_s / 2 / (1 - load), rel=0.05)
    assert devices.server.totals.busy_s / at_s == pytest.approx(load, rel=0.02)
