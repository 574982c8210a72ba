from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge_server.scheduling.schedule import Entry, Schedule


def filled(*items: tuple[str, float, int]) -> Schedule[str]:
    schedule: Schedule[str] = Schedule()
    for item, deadline_s, place in items:
        schedule.add(schedule.entry(item, deadline_s, place))
    return schedule


def items(entries: list[Entry[str]]) -> list[str]:
    return [entry.item for entry in entries]


def test_the_earliest_deadline_is_first_and_equal_ones_in_the_order_they_came() -> None:
    schedule = filled(("a", 5.0, 1), ("b", 3.0, 1), ("c", 5.0, 1), ("d", 3.0, 2), ("e", 4.0, 2))
    taken = []
    while first := schedule.first():
        taken += items(schedule.take(first.place, 1))
    assert taken == ["b", "d", "e", "a", "c"]


def test_those_at_one_place_leave_together_and_the_others_stay() -> None:
    schedule = filled(("a", 5.0, 1), ("b", 3.0, 2), ("c", 6.0, 2), ("d", 4.0, 1), ("e", 3.5, 2))
    assert (schedule.count(1), schedule.count(2), schedule.count(3), len(schedule)) == (2, 3, 0, 5)
    assert items(schedule.take(2, 2)) == ["b", "e"]
    assert items(schedule.take(1, 9)) == ["d", "a"]
    assert (schedule.places, len(schedule)) == ([2], 1)
    first = schedule.first(2)
    assert first is not None
    assert first.item == "c"
    assert schedule.first(1) is None


def test_what_has_more_to_do_keeps_its_turn_and_merges_where_it_has_come() -> None:
    schedule = filled(("early", 5.0, 1), ("late", 5.0, 2))
    (entry,) = schedule.take(1, 9)
    schedule.add(schedule.entry("third", 5.0, 2))
    entry.place = 2
    schedule.add(entry)
    assert items(schedule.take(2, 2)) == ["early", "late"]
    assert items(schedule.take(2, 2)) == ["third"]
    assert schedule.first() is None


def test_expires_at_the_deadline_itself_and_in_its_order() -> None:
    schedule = filled(("a", 3.0, 1), ("b", 1.0, 2), ("c", 2.0, 1), ("d", 4.0, 2))
    assert schedule.expire(0.999) == []
    assert items(schedule.expire(3.0)) == ["b", "c", "a"]
    assert items(list(schedule)) == ["d"]


def test_those_that_are_removed_or_withdrawn_leave_the_others_in_order() -> None:
    schedule = filled(*((f"{at}", 8.0 - at, at % 2) for at in range(8)))
    gone = schedule.withdraw(lambda item: int(item) % 4 == 3)
    assert items(gone) == ["7", "3"]
    schedule.remove(next(entry for entry in schedule if entry.item == "4"))
    assert items(sorted(schedule)) == ["6", "5", "2", "1", "0"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12))
def test_however_samples_merge_each_takes_each_step_once(started: list[tuple[int, int]]) -> None:
    """Items enter at a step of four, with a deadline; a step takes all that have come to it."""
    schedule: Schedule[int] = Schedule()
    for number, (deadline_s, at) in enumerate(started):
        schedule.add(schedule.entry(number, deadline_s + 1.0, at))
    steps: dict[int, list[int]] = {number: [] for number in range(len(started))}
    while first := schedule.first():
        batch = schedule.take(first.place, 3)
        assert batch[0] is first
        assert len(batch) <= 3
        for before, after in pairwise(batch):
            assert before < after
        for entry in batch:
            at = entry.place
            assert isinstance(at, int)
            steps[entry.item].append(at)
            if at < 3:
                entry.place = at + 1
                schedule.add(entry)
    for number, (_, at) in enumerate(started):
        assert steps[number] == list(range(at, 4))
    assert len(schedule) == 0
