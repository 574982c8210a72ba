"""What a server keeps of a stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.latest import Kept, Latest
from edge_server.history import History
from offramp.codecs import Reference
from offramp.codecs.reference import MOST_BYTES, WINDOW
from offramp.errors import MissingReferenceError
from offramp.messages import Request

DIGEST = "ab" * 32


def request(
    number: int, reference: int | None = None, cut: int = 1, digest: str = DIGEST
) -> Request:
    return Request(number, digest, cut, (b"",), reference=reference)


def codes(size_bytes: int) -> tuple[Reference | None, ...]:
    return (None, Reference(66, np.zeros(size_bytes // 2, np.int16)))


def test_what_is_kept_is_found_by_the_next_sample() -> None:
    history, kept = History(1 << 20), codes(100)
    assert history.keep(request(5), kept)
    assert history.find(request(9, reference=5)) is kept
    assert history.find(request(9)) == ()


def test_a_sample_that_is_not_kept_is_missed() -> None:
    history = History(1 << 20)
    history.keep(request(5), codes(100))
    for wrong in (request(9, 4), request(9, 5, cut=2), request(9, 5, digest="cd" * 32)):
        with pytest.raises(MissingReferenceError, match=r"to which sample 9 refers, is not kept"):
            history.find(wrong)


def test_samples_may_refer_to_different_ones_in_any_order() -> None:
    history = History(1 << 20)
    for number in range(3):
        history.keep(request(number), codes(100))
    for number in (2, 0, 1):
        assert history.find(request(9, reference=number))


def test_the_oldest_leave_first() -> None:
    history = History(1 << 20)
    for number in range(40):
        assert history.keep(request(number), codes(2))
    assert history.find(request(99, reference=8))
    with pytest.raises(MissingReferenceError):
        history.find(request(99, reference=7))


def test_nothing_to_refer_to_is_not_kept() -> None:
    history = History(1 << 20)
    assert not history.keep(request(1), (None,))
    assert not history.keep(request(1), ())


def test_what_would_leave_no_room_for_others_is_not_kept() -> None:
    history = History(limit_bytes=9000)
    assert history.keep(request(1), codes(1000))
    assert not history.keep(request(2), codes(1002))
    assert history.find(request(3, reference=1))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 700)), max_size=80))
def test_memory_is_bounded_and_the_latest_are_there(samples: list[tuple[int, int]]) -> None:
    history, alive = History(limit_bytes=5000), dict[int, int]()
    for number, size in samples:
        alive.pop(number, None)
        kept = history.keep(request(number), codes(2 * size))
        assert kept or 2 * size > 5000 // 9 or sum(alive.values()) + 2 * size > 5000
        if 2 * size <= 5000 // 9:
            alive[number] = 2 * size
        while sum(alive.values()) > 5000 or len(alive) > 32:
            del alive[min(alive)]
    for number in range(21):
        if number in alive:
            assert history.find(request(99, reference=number))
        else:
            with pytest.raises(MissingReferenceError):
                history.find(request(99, reference=number))


@given(st.integers(1, 2 * WINDOW), st.lists(st.integers(1, MOST_BYTES), min_size=20, max_size=60))
def test_what_devices_refer_to_is_there(lag: int, sizes: list[int]) -> None:
    """Answers come when ``lag`` more samples were sent; devices look back for `WINDOW` at most."""
    history, latest = History(9 * MOST_BYTES), Latest()
    kept = {}
    for number, size in enumerate(sizes):
        before = latest.at(1, number)
        if before:
            assert history.find(request(number, reference=before.id)) is kept[before.id]
        kept[number] = codes(size)
        assert history.keep(request(number), kept[number]) == (size > 1)
        if number >= lag and sizes[number - lag] > 1:
            latest.keep(Kept(number - lag, number - lag, 1, ()))
    if lag > WINDOW:
        assert latest.at(1, len(sizes)) is None


def test_no_room_keeps_nothing() -> None:
    assert not History(0).keep(request(1), codes(2))
