"""Pace: a fast machine stands in for a slow board by taking the board's time for each step."""

from __future__ import annotations

import time

__all__ = ["DEFAULT_SLOWDOWN", "SLOWDOWN_SOURCE", "Pace"]

DEFAULT_SLOWDOWN = 8.0
"""About one Raspberry Pi 4 core against one desktop or server core."""

SLOWDOWN_SOURCE = (
    "One Raspberry Pi 4 core (1.8 GHz Cortex-A72, ncnn's published benchmark) takes 93.5 ms for "
    "MobileNetV2 and 534 ms for ResNet-50 at 224 x 224; one x86 server core with ONNX Runtime "
    "takes 7.8 and 78 ms: 12.0 and 6.8 times less, 9.0 in the geometric mean, rounded down to 8."
)


class Pace:
    """Sleeps after each step until the board would have ended it; does nothing at factor 1.

    The board's time is its profile's, not the measured time multiplied: other load on the
    emulating machine is not multiplied with it.
    """

    def __init__(self, slowdown: float) -> None:
        self.active = slowdown != 1.0
        self._end_s = 0.0

    def begin(self) -> None:
        """Start a row of steps now."""
        self._end_s = time.perf_counter()

    def step(self, board_s: float) -> None:
        """End a step that takes the board ``board_s``."""
        if not self.active:
            return
        self._end_s += board_s
        wait_s = self._end_s - time.perf_counter()
        if wait_s > 0:
            time.sleep(wait_s)
