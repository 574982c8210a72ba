"""Fallback: when to stop waiting for the server, and what to answer with instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Option", "choose_option", "give_up_s", "leave_early"]


class Option(NamedTuple):
    """A way to answer locally: run on to ``stop`` and take that exit's, or the model's, answer.

    ``exit`` is the exit's number, or None for the model's own output; ``time_s`` is 0 if the
    answer is known already.
    """

    exit: int | None
    stop: int
    time_s: float


def give_up_s(
    options: Sequence[Option], *, deadline_s: float, expected_s: float, reserve_s: float
) -> float:
    """Return until when to wait for the server.

    ``options`` go from the best answer to the quickest, ``expected_s`` is when the server's answer
    is expected at the latest, ``reserve_s`` the time that other work may take first. The best
    option that leaves time for the server's answer decides; else the quickest.
    """
    for option in options:
        latest = deadline_s - reserve_s - option.time_s
        if latest >= expected_s:
            return latest
    return deadline_s - reserve_s - options[-1].time_s


def choose_option(options: Sequence[Option], *, now_s: float, deadline_s: float) -> Option:
    """Return the best option that still ends by the deadline, else the quickest, the last one."""
    for option in options:
        if now_s + option.time_s <= deadline_s:
            return option
    return options[-1]


def leave_early(
    options: Sequence[Option], cut: int, *, now_s: float, deadline_s: float
) -> Option | None:
    """Return how to answer where there is no time for a head to go on to ``cut``, else None."""
    option = choose_option(options, now_s=now_s, deadline_s=deadline_s)
    return option if option.stop < cut else None
