"""Lost packets, as whoever reads a TCP stream sees them: bytes that come later.

Every segment is lost on its own with the same probability. The sender learns of it from three
acknowledgements of later segments (RFC 5681, fast retransmit), and the segment comes one round
trip late; where too few follow, its timer runs out first (RFC 6298), and the segment comes that
much later. A retransmission may be lost too: it waits for the timer, which doubles every time.
What follows a lost segment waits for it, for a stream keeps its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, log, log1p
from random import Random
from typing import Literal

from pydantic import Field

from sim.link.condition import Condition, ConditionSettings
from sim.link.course import Course

__all__ = ["SEGMENT_BYTES", "Loss", "LossSettings"]

SEGMENT_BYTES = 1448
"""The payload of a TCP segment in an Ethernet frame: 1500 bytes without 52 of headers."""

_LINUX_LEAST_S = 0.2
_LONGEST_S = 120.0  # where Linux stops to double the timer
_ACKNOWLEDGEMENTS = 3


class LossSettings(ConditionSettings):
    """The share of segments that is lost, the round trip that a repair takes, and the timer.

    By default the timer runs for `rtt_s` and 0.2 s: Linux's least for a round trip that is steady.
    """

    kind: Literal["loss"] = "loss"
    share: float = Field(ge=0, le=0.5)
    rtt_s: float = Field(ge=0)
    timeout_s: float | None = Field(default=None, gt=0)

    @property
    def timer_s(self) -> float:
        """How long the sender waits for an acknowledgement."""
        return self.rtt_s + _LINUX_LEAST_S if self.timeout_s is None else self.timeout_s


class Loss(Condition):
    """Bytes leave when they enter, but for those whose segment is lost, and those after them.

    Whether three segments will follow is not known when one enters, so the three before it stand
    for them: the first three segments of a burst are repaired by the timer, the others by fast
    retransmit. As losses are independent, a message sees the same number of either as if it were
    its last three. In a burst each entry follows soon enough on the one before that three come
    before the timer runs out.
    """

    Settings = LossSettings

    def __init__(self, course: Course[LossSettings], seed: str) -> None:
        self._course, self._random = course, Random(seed)
        self._settings: LossSettings | None = None
        self._spared = 0
        self._burst_bytes, self._entered_s = 0, -inf

    def leave_s(self, now_s: float, nbytes: int) -> float:
        """When `nbytes` that enter at `now_s` would leave if nothing were ahead of them."""
        settings = self._course.at(now_s)
        if settings is None or settings.share == 0:
            return now_s
        if settings is not self._settings:
            self._settings, self._spared = settings, self._spared_by(settings.share)
        if now_s - self._entered_s > settings.timer_s / _ACKNOWLEDGEMENTS:
            self._burst_bytes = 0
        begun = ceil(self._burst_bytes / SEGMENT_BYTES)
        self._burst_bytes, self._entered_s = self._burst_bytes + nbytes, now_s
        ended = ceil(self._burst_bytes / SEGMENT_BYTES)
        late_s, lost = 0.0, begun + self._spared
        while lost < ended:
            late_s = max(late_s, self._repaired_s(settings, lost))
            lost += 1 + self._spared_by(settings.share)
        self._spared = lost - ended
        return now_s + late_s

    def mean_leave_s(self, now_s: float, nbytes: int, spread_s: float = 0.0) -> float:
        """As `Condition.mean_leave_s`: one loss that the timer repairs, else one in time."""
        settings = self._course.at(now_s)
        if settings is None:
            return now_s
        segments, kept = ceil(nbytes / SEGMENT_BYTES), 1 - settings.share
        by_timer = min(segments, _ACKNOWLEDGEMENTS)
        in_time = 1 - kept ** (segments - by_timer)
        timer_s = (1 - kept**by_timer) * settings.timer_s
        return now_s + timer_s + kept**by_timer * in_time * settings.rtt_s

    def release_train(self, times_s: Sequence[float], sizes: Sequence[int]) -> Sequence[float]:
        """As `Condition.release_train`: at once where no segment of a burst is lost."""
        settings = self._course.only
        if settings is None or settings is not self._settings or times_s[-1] == inf:
            return super().release_train(times_s, sizes)
        pause_s = settings.timer_s / _ACKNOWLEDGEMENTS
        goes_on = times_s[0] - self._entered_s <= pause_s
        before = self._burst_bytes if goes_on else 0
        burst_bytes = before + sum(sizes)
        begun, ended = ceil(before / SEGMENT_BYTES), ceil(burst_bytes / SEGMENT_BYTES)
        if times_s[-1] - times_s[0] > pause_s or begun + self._spared < ended:
            return super().release_train(times_s, sizes)
        self._spared -= ended - begun
        self._burst_bytes, self._entered_s = burst_bytes, times_s[-1]
        return self.all_in_order(times_s)

    def _spared_by(self, share: float) -> int:
        """How many segments pass before one is lost."""
        return int(log(1 - self._random.random()) / log1p(-share))

    def _repaired_s(self, settings: LossSettings, segment: int) -> float:
        """How much later the lost segment of a burst, counted from 0, comes than it would have."""
        late_s, timer_s = settings.rtt_s, settings.timer_s
        if segment < _ACKNOWLEDGEMENTS:
            late_s, timer_s = timer_s, min(2 * timer_s, _LONGEST_S)
        while self._random.random() < settings.share:
            late_s += timer_s
            timer_s = min(2 * timer_s, _LONGEST_S)
        return late_s
