"""Room in the cache: the oldest leave, what is in use stays, and no more goes than has to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offramp.bundle.room import Held, Room, make_room

KIB = 1024


def test_the_least_recently_used_leave_first() -> None:
    held = [Held("new", 4 * KIB, 30.0), Held("old", 4 * KIB, 10.0), Held("mid", 4 * KIB, 20.0)]
    assert make_room(held, 0, 12 * KIB) == Room()
    assert make_room(held, 1, 12 * KIB) == Room(("old",))
    assert make_room(held, 5 * KIB, 12 * KIB) == Room(("old", "mid"))


def test_what_is_in_use_stays_and_the_excess_is_told() -> None:
    held = [Held("used", 8 * KIB, 1.0, in_use=True), Held("free", 2 * KIB, 2.0)]
    assert make_room(held, 3 * KIB, 10 * KIB) == Room(("free",), KIB)


bundles = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.booleans()), max_size=8).map(
    lambda rows: [Held(str(at), size, time, used) for at, (size, time, used) in enumerate(rows)]
)


@given(bundles, st.integers(0, 100), st.integers(0, 200))
def test_room_is_made_with_the_fewest_of_the_oldest(
    held: list[Held], need_bytes: int, limit_bytes: int
) -> None:
    room = make_room(held, need_bytes, limit_bytes)
    by_age = sorted((b for b in held if not b.in_use), key=lambda b: (b.used_s, b.digest))
    assert list(room.evicted) == [b.digest for b in by_age[: len(room.evicted)]]

    def excess(evicted: tuple[str, ...]) -> int:
        left = sum(b.size_bytes for b in held if b.digest not in evicted)
        return left + need_bytes - limit_bytes

    assert room.excess_bytes == max(excess(room.evicted), 0)
    if room.evicted:
        assert excess(room.evicted[:-1]) > 0
    if room.excess_bytes:
        assert len(room.evicted) == len(by_age)
