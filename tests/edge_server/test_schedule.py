from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.schedule import Schedule, Taken


def test_takes_the_earliest_deadline_and_equal_ones_in_the_order_they_came() -> None:
    schedule: Schedule[str] = Schedule(8)
    for item, deadline_s in (("a", 5.0), ("b", 3.0), ("c", 5.0), ("d", 3.0), ("e", 4.0)):
        assert schedule.offer(item, deadline_s) is None
    assert [schedule.take(0.0).item for _ in range(6)] == ["b", "d", "e", "a", "c", None]


def test_story_of_a_busy_second() -> None:
    schedule: Schedule[str] = Schedule(2)
    log = [
        (0.0, schedule.offer("a", 0.3, 0.1)),
        (0.0, schedule.offer("b", 0.2, 0.1)),
        (0.0, schedule.offer("c", 0.1, 0.1)),
        (0.1, schedule.take(0.1)),
        (0.3, schedule.take(0.3)),
        (0.3, schedule.offer("c", 0.5, 0.1)),
        (0.4, schedule.take(0.4)),
    ]
    assert log == [
        (0.0, None),
        (0.0, None),
        (0.0, 0.1),
        (0.1, Taken("b", [])),
        (0.3, Taken(None, ["a"])),
        (0.3, None),
        (0.4, Taken("c", [])),
    ]


def test_expires_at_the_deadline_itself_and_in_its_order() -> None:
    schedule: Schedule[str] = Schedule(4)
    for item, deadline_s in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", 4.0)):
        schedule.offer(item, deadline_s)
    assert schedule.expire(0.999) == []
    assert schedule.expire(3.0) == ["b", "c", "a"]
    assert schedule.take(3.0) == Taken("d", [])


def test_full_queue_says_when_half_of_it_will_have_gone() -> None:
    schedule: Schedule[int] = Schedule(10)
    assert [schedule.offer(at, 1.0, 0.02) for at in range(11)] == [None] * 10 + [0.1]
    assert schedule.offer(11, 1.0) == 0.001  # nothing measured yet


def test_withdraw_leaves_the_others_in_order() -> None:
    schedule: Schedule[int] = Schedule(10)
    for item in range(8):
        schedule.offer(item, 8.0 - item)
    assert schedule.withdraw(lambda item: item % 2 == 1) == [7, 5, 3, 1]
    assert [schedule.take(0.0).item for _ in range(5)] == [6, 4, 2, 0, None]


_TIMES = st.integers(0, 6).map(float)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), _TIMES),
        st.tuples(st.just("take"), st.just(0.0)),
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
    """Items are (deadline, number): the order in which they must leave."""
    schedule: Schedule[tuple[float, int]] = Schedule(capacity)
    now_s, inside, offered, left = 0.0, set(), 0, []
    for step, argument in steps:
        if step == "wait":
            now_s += argument
        elif step == "offer":
            item = (now_s + argument, offered)
            offered += 1
            if schedule.offer(item, item[0], 0.1) is None:
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
            taken = schedule.take(now_s) if step == "take" else Taken(None, schedule.expire(now_s))
            assert taken.expired == sorted(item for item in inside if item[0] <= now_s)
            inside -= set(taken.expired)
            left += taken.expired
            if step == "take":
                assert taken.item == min(inside, default=None)
            if taken.item is not None:
                assert taken.item[0] > now_s
                inside.remove(taken.item)
                left.append(taken.item)
        assert len(schedule) == len(inside) <= capacity
    left += inside
    assert sorted(number for _, number in left) == list(range(offered))
