from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_server.schedule import Schedule, Taken


def items(taken: Taken[Any]) -> list[Any]:
    return [entry.item for entry in taken.batch]


def test_takes_the_earliest_deadline_and_equal_ones_in_the_order_they_came() -> None:
    schedule: Schedule[str] = Schedule(8)
    for item, deadline_s in (("a", 5.0), ("b", 3.0), ("c", 5.0), ("d", 3.0), ("e", 4.0)):
        assert schedule.offer(item, deadline_s) is None
    assert [items(schedule.take(0.0)) for _ in range(6)] == [["b"], ["d"], ["e"], ["a"], ["c"], []]


def test_story_of_a_busy_second() -> None:
    schedule: Schedule[str] = Schedule(2)

    def take(now_s: float) -> tuple[list[str], list[str]]:
        taken = schedule.take(now_s)
        return items(taken), taken.expired

    log = [
        (0.0, schedule.offer("a", 0.3, 0.1)),
        (0.0, schedule.offer("b", 0.2, 0.1)),
        (0.0, schedule.offer("c", 0.1, 0.1)),
        (0.1, take(0.1)),
        (0.3, take(0.3)),
        (0.3, schedule.offer("c", 0.5, 0.1)),
        (0.4, take(0.4)),
    ]
    assert log == [
        (0.0, None),
        (0.0, None),
        (0.0, 0.1),
        (0.1, (["b"], [])),
        (0.3, ([], ["a"])),
        (0.3, None),
        (0.4, (["c"], [])),
    ]


def test_those_at_the_place_of_the_earliest_leave_with_it() -> None:
    schedule: Schedule[str] = Schedule(8)
    given = (("a", 5.0, 1), ("b", 3.0, 2), ("c", 6.0, 2), ("d", 4.0, 1), ("e", 3.5, 2))
    for item, deadline_s, place in given:
        schedule.offer(item, deadline_s, place=place)
    asked = []

    def most(place: Hashable, room_s: float) -> int:
        asked.append((place, room_s))
        return 2

    assert items(schedule.take(1.0, most)) == ["b", "e"]
    assert items(schedule.take(1.0, most)) == ["d", "a"]
    assert items(schedule.take(1.0, most)) == ["c"]
    assert asked == [(2, 2.0), (1, 3.0), (2, 5.0)]


def test_what_has_more_to_do_keeps_its_turn_and_merges_where_it_has_come() -> None:
    schedule: Schedule[str] = Schedule(2)
    schedule.offer("early", 5.0, place=1)
    schedule.offer("late", 5.0, place=2)
    (entry,) = schedule.take(0.0, lambda place, room_s: 9).batch
    assert entry.item == "early"
    schedule.offer("third", 5.0, place=2)
    schedule.put_back(entry, 2)  # although two wait already
    assert schedule.offer("fourth", 5.0) is not None
    assert items(schedule.take(0.0, lambda place, room_s: 2)) == ["early", "late"]
    assert items(schedule.take(0.0, lambda place, room_s: 2)) == ["third"]


def test_expires_at_the_deadline_itself_and_in_its_order() -> None:
    schedule: Schedule[str] = Schedule(4)
    for item, deadline_s in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", 4.0)):
        schedule.offer(item, deadline_s)
    assert schedule.expire(0.999) == []
    assert schedule.expire(3.0) == ["b", "c", "a"]
    assert items(schedule.take(3.0)) == ["d"]


def test_full_queue_says_when_half_of_it_will_have_gone() -> None:
    schedule: Schedule[int] = Schedule(10)
    assert [schedule.offer(at, 1.0, 0.02) for at in range(11)] == [None] * 10 + [0.1]
    assert schedule.offer(11, 1.0) == 0.001  # nothing measured yet


def test_withdraw_leaves_the_others_in_order() -> None:
    schedule: Schedule[int] = Schedule(10)
    for item in range(8):
        schedule.offer(item, 8.0 - item)
    assert schedule.withdraw(lambda item: item % 2 == 1) == [7, 5, 3, 1]
    assert [items(schedule.take(0.0)) for _ in range(5)] == [[6], [4], [2], [0], []]


_TIMES = st.integers(0, 6).map(float)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), _TIMES),
        st.tuples(st.just("take"), st.integers(1, 4).map(float)),
        st.tuples(st.just("expire"), st.just(0.0)),
        st.tuples(st.just("withdraw"), st.integers(2, 5).map(float)),
        st.tuples(st.just("wait"), _TIMES),
    ),
    max_size=60,
)


@given(capacity=st.integers(1, 6), steps=_STEPS)
def test_every_item_leaves_once_by_deadline_and_the_bound_holds(
    capacity: int, steps: list[tuple[str, float]]
) -> None:
    """Items are (deadline, number), the order in which they leave; every third waits elsewhere."""
    schedule: Schedule[tuple[float, int]] = Schedule(capacity)
    now_s, inside, offered, left = 0.0, set(), 0, []
    for step, argument in steps:
        if step == "wait":
            now_s += argument
        elif step == "offer":
            item = (now_s + argument, offered)
            offered += 1
            if schedule.offer(item, item[0], 0.1, place=item[1] % 3) is None:
                inside.add(item)
            else:
                assert len(inside) == capacity
                left.append(item)
        elif step == "withdraw":
            gone = schedule.withdraw(lambda item, every=int(argument): item[1] % every == 0)
            assert gone == sorted(item for item in inside if item[1] % int(argument) == 0)
            left += gone
            inside -= set(gone)
        else:
            taken = Taken([], schedule.expire(now_s)) if step == "expire" else None
            taken = taken or schedule.take(now_s, lambda place, room_s, n=int(argument): n)
            assert taken.expired == sorted(item for item in inside if item[0] <= now_s)
            inside -= set(taken.expired)
            batch = items(taken)
            left += taken.expired + batch
            if step == "take":
                first = min(inside, default=None)
                beside = sorted(i for i in inside if first and i[1] % 3 == first[1] % 3)
                assert batch == beside[: int(argument)]
            assert all(item[0] > now_s for item in batch)
            inside -= set(batch)
        assert len(schedule) == len(inside) <= capacity
    left += inside
    assert sorted(number for _, number in left) == list(range(offered))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12))
def test_however_samples_merge_each_takes_each_step_once(started: list[tuple[int, int]]) -> None:
    """Items enter at a step of four, with a deadline; a step takes all that have come to it."""
    schedule: Schedule[int] = Schedule(20)
    for number, (deadline_s, at) in enumerate(started):
        schedule.offer(number, deadline_s + 1.0, place=at)
    steps: dict[int, list[int]] = {number: [] for number in range(len(started))}
    while batch := schedule.take(0.0, lambda place, room_s: 3).batch:
        (at,) = {entry.place for entry in batch}
        assert len(batch) <= 3
        for before, after in pairwise(batch):
            assert before < after
        for entry in batch:
            steps[entry.item].append(at)
            if at < 3:
                schedule.put_back(entry, at + 1)
    for number, (_, at) in enumerate(started):
        assert steps[number] == list(range(at, 4))
