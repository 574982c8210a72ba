"""Reasons: why a sample was not answered as planned, as a sentence, and as a word to count by."""

from __future__ import annotations

from device.result import Status
from offramp.messages import STATUS_CODES, Failure

__all__ = [
    "HURRIED",
    "LATE",
    "PASSED",
    "TOO_LATE_TO_SEND",
    "full",
    "refusal",
    "unconnected",
    "word",
]

HURRIED = "too little time for more than this exit"
LATE = "no answer from the server in time"
TOO_LATE_TO_SEND = "too little time to wait for the server"
PASSED = "its deadline passed before the device got to it"
_UNCONNECTED = "no connection ("
_FULL = "the inbox of "
_WORDS = {
    HURRIED: "hurried",
    LATE: "answer_late",
    TOO_LATE_TO_SEND: "too_late_to_send",
    PASSED: "deadline_passed",
}


def unconnected(why: str) -> str:
    """Say that there was no connection by which to send, and why."""
    return f"{_UNCONNECTED}{why})"


def full(places: int) -> str:
    """Say that newer samples took its place in an inbox of so many."""
    return f"{_FULL}{places} was full"


def refusal(failure: Failure) -> str:
    """Say why the server has no answer."""
    return f"{failure.status}: {failure.message}"


def word(status: Status, reason: str) -> str:
    """Return a word of a few for the reason of a sample of this status; "" if all went as planned.

    What is not one of those above is why the connection broke.
    """
    if not reason:
        return ""
    if status == "failed":
        return "not_taken"
    if reason in _WORDS:
        return _WORDS[reason]
    if reason.startswith(_UNCONNECTED):
        return "no_connection"
    if reason.startswith(_FULL):
        return "inbox_full"
    said = reason.partition(":")[0]
    return said.lower() if said in STATUS_CODES else "connection_lost"
