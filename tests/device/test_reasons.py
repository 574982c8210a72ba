"""Reasons are sentences for people and words to count by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device import reasons
from offramp.messages import STATUS_CODES, Failure

WORDS = {
    "hurried": ("degraded", reasons.HURRIED),
    "answer_late": ("degraded", reasons.LATE),
    "too_late_to_send": ("degraded", reasons.TOO_LATE_TO_SEND),
    "deadline_passed": ("dropped", reasons.PASSED),
    "inbox_full": ("dropped", reasons.full(4)),
    "no_connection": ("degraded", reasons.unconnected("127.0.0.1:1 does not answer")),
    "not_taken": ("failed", "the model takes (28, 28), not (3, 3)"),
    "connection_lost": ("degraded", "127.0.0.1:50051: UNAVAILABLE, Socket closed"),
    "resource_exhausted": (
        "degraded",
        reasons.refusal(Failure("RESOURCE_EXHAUSTED", "the queue is full: try again")),
    ),
    "": ("ok", ""),
}


@pytest.mark.parametrize("word", WORDS)
def test_each_reason_has_a_word(word):
    assert reasons.word(*WORDS[word]) == word


@given(st.sampled_from(["ok", "degraded", "dropped", "failed"]), st.text())
def test_there_are_no_other_words(status, reason):
    assert reasons.word(status, reason) in WORDS.keys() | {name.lower() for name in STATUS_CODES}
