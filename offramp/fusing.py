"""Fusing: segments that run one after the other for long are loaded as one program.

Segments one after the other cost more than the whole: an engine changes the layout of tensors at
its borders, and merges no operations across them. Loading them as one takes time and memory, so it
is done when it will pay.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Hashable

from offramp.errors import OfframpError

__all__ = ["FUSE_AFTER", "Streak", "begin_quietly"]

FUSE_AFTER = 50
"""Samples in a row with one cut before its segments are fused. Loading them took about as long as
5 samples here, and each was 10 to 20% faster afterwards: it pays within as many samples again."""

_LOWEST_PRIORITY = 19


class Streak:
    """Counts how often in a row the same thing came."""

    def __init__(self) -> None:
        self._last: Hashable = None
        self._length = 0

    def observe(self, one: Hashable) -> int:
        """Return how often in a row ``one`` has come, this time included."""
        self._length = self._length + 1 if one == self._last else 1
        self._last = one
        return self._length


def begin_quietly(task: Callable[[], None], nice: int = _LOWEST_PRIORITY) -> threading.Thread:
    """Run a task on a thread of a low priority, so that samples are not late for it.

    A segment that cannot be loaded is no error: those that are loaded go on one by one.
    """
    # Not a daemon, as the thread that starts it: a process that ends amid a load is aborted.
    thread = threading.Thread(target=_run, args=(task, nice), name="fuse", daemon=False)
    thread.start()
    return thread


def _run(task: Callable[[], None], nice: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # not every system has it by thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
    with contextlib.suppress(OfframpError):
        task()
