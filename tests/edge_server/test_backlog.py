"""What the backlog decides, step by step in a time that the test makes up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.passage import Place
from edge_server.scheduling.backlog import Backlog
from edge_server.scheduling.sample import Room, Turned
from edge_server.scheduling.schedule import Entry
from edge_server.scheduling.step_costs import Step, StepCosts
from edge_server.security.clients import Client
from edge_server.ticket import deadline_s

BOARD, OTHER = Client("board"), Client("other")
PLACES = [Place("digest", at, False) for at in range(3)]


@dataclass(eq=False)
class Sample:
    """A sample that is through when it comes to segment 2."""

    received_s: float
    at: int = 0
    client: Client = BOARD
    size_bytes: int = 100
    begun: bool = False
    spent_s: float = 0.0

    @property
    def place(self) -> Place:
        return PLACES[self.at]

    @property
    def ended(self) -> bool:
        return self.at == 2


def costs_of(fixed_s: float, each_s: float, largest: int = 8) -> StepCosts:
    """Return what is known of two segments that take the same time."""
    costs = StepCosts()
    for at in (1, 0):
        for size in (1, largest) * 40:
            time_s = fixed_s + each_s * size
            costs.observe(Step(PLACES[at], size, time_s, PLACES[at + 1], size * (at == 0)))
    return costs


def backlog_of(costs: StepCosts | None = None, **room: int) -> Backlog[Sample]:
    return Backlog(Room(**room), costs or StepCosts())


def let_in(backlog: Backlog[Sample], now_s: float, waits_s: float = 1.0, at: int = 0) -> Sample:
    sample = Sample(now_s, at)
    assert backlog.admit(now_s, sample, now_s + waits_s) == (None, [])
    return sample


def advance(batch: Sequence[Entry[Sample]], took_s: float) -> None:
    for entry in batch:
        entry.item.at, entry.item.begun = entry.item.at + 1, True
        entry.item.spent_s += took_s / len(batch)


def step(backlog: Backlog[Sample], began_s: float, ended_s: float) -> list[Sample]:
    """Let a worker take what comes first one segment on."""
    batch = backlog.take(began_s).batch
    advance(batch, ended_s - began_s)
    ended, going = backlog.stepped(ended_s, batch)
    assert [sample.ended for sample in ended] == [True] * len(ended)
    backlog.put_back(going)
    return [entry.item for entry in batch]


def statuses(turned: Sequence[Turned[Sample]]) -> list[tuple[Sample, str]]:
    return [(sample, failure.status) for sample, failure in turned]


def test_an_earlier_deadline_passes_a_sample_between_two_steps() -> None:
    backlog = backlog_of()
    patient, hasty = let_in(backlog, 0.0, 9.0), let_in(backlog, 0.1, 1.0)
    step(backlog, 0.2, 0.3)
    assert (hasty.at, patient.at) == (1, 0)
    step(backlog, 0.3, 0.4)
    assert (hasty.at, patient.at) == (2, 0)
    assert (len(backlog), backlog.running) == (1, 0)


def test_what_waits_at_one_place_is_taken_together_and_counts_as_running() -> None:
    backlog = backlog_of(costs_of(0.01, 0.001))
    first = let_in(backlog, 0.0, 1.0, at=1)
    let_in(backlog, 0.0, 2.0)
    third = let_in(backlog, 0.0, 3.0, at=1)
    taken = backlog.take(0.5)
    assert [entry.item for entry in taken.batch] == [first, third]
    assert (len(backlog), backlog.running) == (1, 2)
    third.at = 2
    ended, going = backlog.stepped(0.6, taken.batch)
    assert (ended, [entry.item for entry in going]) == ([third], [first])
    assert (len(backlog), backlog.running) == (1, 1)
    backlog.put_back(going)
    assert (len(backlog), backlog.running) == (2, 0)


def test_a_sample_lets_another_catch_up_where_that_saves_a_launch() -> None:
    """One step of 10 ms for both saves more than the 2 x 11 ms that the first one waits."""
    backlog = backlog_of(costs_of(0.010, 0.001))
    ahead = let_in(backlog, 0.0, 1.0, at=1)
    behind = [let_in(backlog, 0.0, 2.0) for _ in range(3)]
    assert step(backlog, 0.0, 0.013) == behind
    assert step(backlog, 0.013, 0.027) == [ahead, *behind]
    assert len(backlog) == 0


def test_a_full_backlog_turns_away_with_times_that_are_a_service_apart() -> None:
    backlog = backlog_of(workers=2, queue_length=4)
    let_in(backlog, 0.0, at=1)
    step(backlog, 0.0, 0.1)
    for _ in range(4):
        let_in(backlog, 0.2)
    refusals = [backlog.admit(0.3, Sample(0.3), 9.0).refusal for _ in range(2)]
    assert [refusal.status for refusal in refusals if refusal] == ["RESOURCE_EXHAUSTED"] * 2
    assert [one.retry_after_s for one in refusals if one] == pytest.approx([0.05, 0.1])
    assert len(backlog) == 4


def test_memory_is_bounded_by_what_samples_take_until_they_end() -> None:
    backlog = backlog_of(queue_bytes=250)
    first = let_in(backlog, 0.0, at=1)
    let_in(backlog, 0.0)
    assert backlog.admit(0.0, Sample(0.0), 9.0).refusal is not None
    batch = backlog.take(0.1).batch
    assert [entry.item for entry in batch] == [first]
    assert backlog.admit(0.1, Sample(0.1), 9.0).refusal is not None  # it still runs
    advance(batch, 0.1)
    backlog.stepped(0.2, batch)
    assert backlog.admit(0.2, Sample(0.2), 9.0).refusal is None


def test_what_would_come_too_late_is_refused_with_the_time_to_try_again() -> None:
    """Each takes 2 x 10 ms; the fifth, of those that have 85 ms, would end after 100 ms."""
    backlog = backlog_of(costs_of(0.0, 0.010))
    for _ in range(4):
        let_in(backlog, 0.0, 0.085)
    refusal = backlog.admit(0.0, Sample(0.0), 0.085).refusal
    assert refusal is not None
    assert refusal.status == "RESOURCE_EXHAUSTED"
    assert refusal.retry_after_s == pytest.approx(0.015)
    assert "by 15.0 ms; try again in 15 ms" in refusal.message
    let_in(backlog, 0.0, 0.105)


def test_nobody_is_let_in_at_the_cost_of_a_promise() -> None:
    """The one that comes last is in time itself, but the first one would not be any more."""
    backlog = backlog_of(costs_of(0.0, 0.010))
    let_in(backlog, 0.0, 0.050)
    let_in(backlog, 0.0, 0.045)
    assert backlog.admit(0.0, Sample(0.0), 0.030).refusal is not None
    backlog = backlog_of(costs_of(0.0, 0.010))
    let_in(backlog, 0.0, 0.070)
    let_in(backlog, 0.0, 0.045)
    assert backlog.admit(0.0, Sample(0.0), 0.030).refusal is None


def test_what_a_worker_is_busy_with_counts() -> None:
    backlog = backlog_of(costs_of(0.0, 0.010))
    let_in(backlog, 0.0, 0.021)
    backlog.take(0.0)
    assert backlog.admit(0.004, Sample(0.004), 0.039).refusal is not None
    assert backlog.admit(0.004, Sample(0.004), 0.041).refusal is None


def test_who_comes_to_an_idle_server_is_let_in_whatever_is_expected() -> None:
    backlog = backlog_of(costs_of(0.0, 0.5))
    hopeless = let_in(backlog, 0.0, 0.01)
    assert step(backlog, 0.0, 0.005) == [hopeless]
    assert step(backlog, 0.005, 0.009) == [hopeless]


def test_what_has_no_time_left_is_dropped_before_it_costs_any_unless_nothing_else_waits() -> None:
    backlog = backlog_of(costs_of(0.0, 0.010))
    late, first, second = (let_in(backlog, 0.0, waits_s) for waits_s in (0.02, 0.05, 0.07))
    taken = backlog.take(0.005)
    assert statuses(taken.turned) == [(late, "DEADLINE_EXCEEDED")]
    assert [entry.item for entry in taken.batch] == [first]
    advance(taken.batch, 0.03)
    backlog.put_back(backlog.stepped(0.035, taken.batch)[1])
    assert step(backlog, 0.036, 0.046) == [first]
    taken = backlog.take(0.065)
    assert ([entry.item for entry in taken.batch], taken.turned) == ([second], [])


def test_what_has_expired_makes_room_and_is_told_why() -> None:
    backlog = backlog_of(queue_length=2)
    first, second = let_in(backlog, 0.0, 0.4), let_in(backlog, 0.0, 0.5)
    step(backlog, 0.0, 0.1)
    refusal, turned = backlog.admit(1.0, Sample(1.0), 2.0)
    assert refusal is None
    assert statuses(turned) == [(first, "DEADLINE_EXCEEDED"), (second, "DEADLINE_EXCEEDED")]
    assert "before segment 1" in turned[0].failure.message
    assert "after 1000 ms in the queue" in turned[1].failure.message
    assert backlog.take(3.0).turned[0].sample.received_s == 1.0
    assert len(backlog) == 0


def test_a_client_that_has_had_more_gives_way_to_one_that_has_had_less() -> None:
    """The board has filled what there is time for; the other gets in as often as it does."""
    backlog = backlog_of(costs_of(0.0, 0.010))
    mine = [let_in(backlog, 0.0, 0.105) for _ in range(5)]
    theirs = [Sample(0.001, client=OTHER) for _ in range(3)]
    found = [backlog.admit(0.001, sample, 0.106) for sample in theirs]
    assert [one.refusal is None for one in found] == [True, True, False]
    gone = [sample for one in found for sample, _ in one.turned]
    assert gone == mine[:2]
    failure = found[0].turned[0].failure
    assert failure.status == "RESOURCE_EXHAUSTED"
    assert "others have had less" in failure.message
    assert failure.retry_after_s > 0


def test_who_asks_for_the_impossible_is_refused_at_once_and_changes_nothing_for_others() -> None:
    backlog = backlog_of(costs_of(0.004, 0.001, largest=32))
    for _ in range(20):
        let_in(backlog, 0.0, 1.0)
    refusal, turned = backlog.admit(0.0, Sample(0.0, client=OTHER), 0.001)
    assert refusal is not None
    assert (turned, len(backlog)) == ([], 20)
    assert len(backlog.take(0.0).batch) == 20  # no patience counts that cannot be kept


def test_nobody_gives_way_in_vain() -> None:
    """No place in the queue is early enough for what has 15 ms while a worker is busy for 10."""
    backlog = backlog_of(costs_of(0.0, 0.010))
    for _ in range(3):
        let_in(backlog, 0.0, 0.085)
    backlog.take(0.0)
    refusal, turned = backlog.admit(0.0, Sample(0.0, client=OTHER), 0.015)
    assert refusal is not None
    assert (turned, len(backlog)) == ([], 2)


@pytest.mark.parametrize(("weight", "share"), [(1.0, 0.5), (3.0, 0.75)])
def test_under_overload_clients_share_the_engine_by_their_weights(
    weight: float, share: float
) -> None:
    """Two clients that want three times of what there is; one gets no more for asking more."""
    backlog, costs = backlog_of(costs_of(0.0, 0.005)), {"heavy": 0, "light": 0}
    clients = [Client("heavy", weight), Client("light")]
    for tick in range(3000):
        now_s = tick * 0.01
        for client in [*clients, clients[1], clients[1]]:
            backlog.admit(now_s, Sample(now_s, client=client), now_s + 0.1)
        for sample in step(backlog, now_s, now_s + 0.005) + step(backlog, now_s + 0.005, now_s):
            costs[sample.client.name] += tick > 1000
    assert costs["heavy"] / sum(costs.values()) == pytest.approx(share, abs=0.03)


def test_what_nobody_wants_any_more_is_withdrawn() -> None:
    backlog = backlog_of(queue_bytes=200)
    early, late = let_in(backlog, 0.0), let_in(backlog, 0.5)
    assert backlog.withdraw(0.6, lambda sample: sample.received_s > 0) == [late]
    assert step(backlog, 0.6, 0.7) == [early]
    let_in(backlog, 0.7)


def test_the_load_tells_how_long_one_would_wait_and_what_it_would_cost_the_others() -> None:
    backlog = backlog_of()
    for at in range(3):
        let_in(backlog, at, at=1)
        step(backlog, at + 0.1, at + 0.2)
    let_in(backlog, 2.2)
    load = backlog.load(2.2, 0.5)
    assert (load.queued, load.running, load.cpu_share) == (1, 0, 0.5)
    assert 0 < load.queue_s < 0.1
    assert load.price_s > 0
    assert backlog.load(60.0, 0.5).queue_s == pytest.approx(0.1)  # it still waits
    backlog.withdraw(60.0, lambda sample: True)
    assert backlog.load(100.0, 0.5).queue_s < 1e-6


@pytest.mark.parametrize(("timeout_s", "until_s"), [(0.0, 11.0), (0.5, 1.5), (60.0, 11.0)])
def test_a_sample_has_until_its_devices_patience_or_the_servers_ends(
    timeout_s: float, until_s: float
) -> None:
    assert deadline_s(1.0, timeout_s, 10.0) == until_s


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "work", "wait", "withdraw"]),
        st.integers(0, 5),
        st.sampled_from([BOARD, OTHER, Client("third", 2.0)]),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(events=_EVENTS, fixed_s=st.sampled_from([0.0, 0.01]), each_s=st.sampled_from([0.0, 0.01]))
def test_every_sample_leaves_once_and_the_bounds_hold(
    events: list[tuple[str, int, Client]], fixed_s: float, each_s: float
) -> None:
    backlog = backlog_of(costs_of(fixed_s, each_s), queue_length=5, queue_bytes=700)
    now_s, came, left = 0.0, [], list[Sample]()
    inside: set[Sample] = set()

    def leave(samples: list[Sample]) -> None:
        left.extend(samples)
        inside.difference_update(samples)

    for what, number, client in events:
        if what == "come":
            sample = Sample(now_s, number % 2, client)
            came.append(sample)
            refusal, turned = backlog.admit(now_s, sample, now_s + 0.02 * number)
            inside.add(sample)
            leave([one.sample for one in turned] + [sample] * (refusal is not None))
        elif what == "work":
            taken = backlog.take(now_s)
            leave([one.sample for one in taken.turned])
            assert len({entry.item.place for entry in taken.batch}) <= 1
            advance(taken.batch, 0.01)
            now_s += 0.01
            if taken.batch:
                ended, going = backlog.stepped(now_s, taken.batch)
                leave(ended)
                backlog.put_back(going)
        elif what == "wait":
            now_s += 0.01 * number
        else:
            leave(backlog.withdraw(now_s, lambda sample, client=client: sample.client == client))
        assert len(backlog) == len(inside) <= 6  # one more if it came while nothing waited
        assert backlog.running == 0
    leave(backlog.withdraw(math.inf, lambda sample: True))
    assert sorted(map(id, left)) == sorted(map(id, came))
