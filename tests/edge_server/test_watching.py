"""What a ledger tells of the samples of one stream: each once, whatever becomes of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.seeing.watching import Asked, Ledger
from offramp.messages import Answer, Failure, Request


class Notes:
    def __init__(self) -> None:
        self.told: list[tuple[Asked, str, int]] = []

    def answered(self, asked: Asked, answer: Answer, sent_bytes: int) -> None:
        self.told.append((asked, answer.failure.status if answer.failure else "OK", sent_bytes))

    def turned_away(self, failure: Failure) -> None:
        raise AssertionError


def request(number: int) -> Request:
    return Request(number, "ab" * 32, 2, (b"frame",), plan_id="p7")


def test_an_answer_is_told_with_what_was_asked_for() -> None:
    notes = Notes()
    ledger = Ledger("ipv4:10.0.0.7", 3, [notes])
    ledger.came(request(1))
    ledger.came(request(2))
    ledger.left(Answer(2), lambda: 700)
    ledger.left(Answer(1, failure=Failure("DEADLINE_EXCEEDED", "late")), lambda: 40)
    assert notes.told == [
        (Asked(2, "ipv4:10.0.0.7", 3, "ab" * 32, 2, "p7"), "OK", 700),
        (Asked(1, "ipv4:10.0.0.7", 3, "ab" * 32, 2, "p7"), "DEADLINE_EXCEEDED", 40),
    ]


def test_what_a_device_leaves_behind_is_cancelled() -> None:
    notes = Notes()
    ledger = Ledger("here", 3, [notes])
    ledger.came(request(5))
    ledger.close()
    ledger.close()
    assert notes.told == [(Asked(5, "here", 3, "ab" * 32, 2, "p7"), "CANCELLED", 0)]


def test_an_unreadable_request_has_no_bundle() -> None:
    notes = Notes()
    Ledger("here", 3, [notes]).left(
        Answer(9, failure=Failure("INVALID_ARGUMENT", "no")), lambda: 30
    )
    assert notes.told == [(Asked(9, "here", 3), "INVALID_ARGUMENT", 30)]


def test_without_watchers_nothing_is_kept() -> None:
    late: list[Notes] = []
    ledger = Ledger("here", 3, late)
    ledger.came(request(1))
    late.append(Notes())
    ledger.close()
    assert late[0].told == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5))))
def test_each_sample_is_told_of_once(events: list[tuple[bool, int]]) -> None:
    notes, waiting = Notes(), set()
    ledger = Ledger("here", 3, [notes])
    came = 0
    for comes, number in events:
        if comes and number not in waiting:
            ledger.came(request(number))
            waiting.add(number)
            came += 1
        elif number in waiting:
            ledger.left(Answer(number))
            waiting.remove(number)
    ledger.close()
    assert len(notes.told) == came
    assert sum(status == "CANCELLED" for _, status, _ in notes.told) == len(waiting)
