"""What the backlog decides, step by step in a time that the test makes up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edge_server.backlog import Admission, Backlog, why_expired
from edge_server.passage import Place
from edge_server.ticket import deadline_s


@dataclass(eq=False)
class Sample:
    """A sample that is through when it comes to segment 2."""

    received_s: float
    at: int = 0
    begun: bool = False
    spent_s: float = 0.0

    @property
    def place(self) -> Place:
        return Place("digest", self.at, False)

    @property
    def ended(self) -> bool:
        return self.at == 2


def one(place: object, room_s: float) -> int:
    return 1


def several(place: object, room_s: float) -> int:
    return 8


def let_in(backlog: Backlog[Sample], now_s: float, waits_s: float = 1.0, at: int = 0) -> Sample:
    sample = Sample(now_s, at)
    assert backlog.admit(now_s, sample, now_s + waits_s) == Admission(None, [])
    return sample


def step(backlog: Backlog[Sample], began_s: float, ended_s: float, *, most: object = one) -> None:
    """Let a worker take what comes first one segment on."""
    batch = backlog.take(began_s, most).batch  # type: ignore[arg-type]
    for entry in batch:
        entry.item.at, entry.item.begun = entry.item.at + 1, True
        entry.item.spent_s += (ended_s - began_s) / len(batch)
    ended, going = backlog.stepped(ended_s, batch)
    assert [sample.ended for sample in ended] == [True] * len(ended)
    backlog.put_back(going)


def test_an_earlier_deadline_passes_a_sample_between_two_steps() -> None:
    backlog: Backlog[Sample] = Backlog(1, 8)
    patient, hasty = let_in(backlog, 0.0, 9.0), let_in(backlog, 0.1, 1.0)
    step(backlog, 0.2, 0.3)
    assert (hasty.at, patient.at) == (1, 0)
    step(backlog, 0.3, 0.4)
    assert (hasty.at, patient.at) == (2, 0)
    assert (len(backlog), backlog.running) == (1, 0)


def test_what_waits_at_one_place_is_taken_together_and_counts_as_running() -> None:
    backlog: Backlog[Sample] = Backlog(1, 8)
    let_in(backlog, 0.0, 1.0)
    let_in(backlog, 0.0, 2.0, at=1)
    let_in(backlog, 0.0, 3.0)
    taken = backlog.take(0.5, several)
    assert [entry.item.at for entry in taken.batch] == [0, 0]
    assert (len(backlog), backlog.running) == (1, 2)
    taken.batch[1].item.at = 2
    ended, going = backlog.stepped(0.6, taken.batch)
    assert ended == [taken.batch[1].item]
    assert list(going) == [taken.batch[0]]
    assert (len(backlog), backlog.running) == (1, 1)
    backlog.put_back(going)
    assert (len(backlog), backlog.running) == (2, 0)


def test_a_full_backlog_turns_away_until_half_of_it_has_gone_through_its_workers() -> None:
    """Two workers that take 0.1 s for each sample have taken two of four after 0.1 s."""
    backlog: Backlog[Sample] = Backlog(2, 4)
    let_in(backlog, 0.0, at=1)
    step(backlog, 0.0, 0.1)
    for _ in range(4):
        let_in(backlog, 0.2)
    refusal, expired = backlog.admit(0.3, Sample(0.3), 9.0)
    assert refusal is not None
    assert (refusal.status, expired) == ("RESOURCE_EXHAUSTED", [])
    assert refusal.retry_after_s == pytest.approx(0.1)
    assert len(backlog) == 4


def test_what_has_expired_makes_room_and_is_told_why() -> None:
    backlog: Backlog[Sample] = Backlog(1, 2)
    first, second = let_in(backlog, 0.0, 0.4), let_in(backlog, 0.0, 0.5)
    step(backlog, 0.0, 0.1)
    refusal, expired = backlog.admit(1.0, Sample(1.0), 2.0)
    assert refusal is None
    assert expired == [first, second]
    assert "before segment 1" in why_expired(1.0, first).message
    assert "after 1000 ms in the queue" in why_expired(1.0, second).message
    assert backlog.take(3.0, one).expired[0].received_s == 1.0
    assert len(backlog) == 0


def test_what_nobody_wants_any_more_is_withdrawn() -> None:
    backlog: Backlog[Sample] = Backlog(1, 8)
    early, late = let_in(backlog, 0.0), let_in(backlog, 0.5)
    assert backlog.withdraw(0.6, lambda sample: sample.received_s > 0) == [late]
    assert [entry.item for entry in backlog.take(0.6, several).batch] == [early]


def test_the_load_tells_how_long_one_would_wait_and_what_it_would_cost_the_others() -> None:
    backlog: Backlog[Sample] = Backlog(1, 8)
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
