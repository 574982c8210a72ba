"""Fusing: a head that has stopped at the same cut for long is loaded as one program.

Segments one after the other cost more than the whole: an engine changes the layout of tensors at
its borders, and merges no operations across them. Loading them as one takes time and memory, so it
is done when it will pay.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from functools import partial

from offramp.errors import OfframpError
from offramp.memory import return_unused_memory
from offramp.network import Network

__all__ = ["FUSE_AFTER", "Fusing"]

FUSE_AFTER = 50
"""Samples in a row with one cut before its segments are fused. Loading them took about as long as
5 samples here, and each was 10 to 20% faster afterwards: it pays within as many samples again."""

_LOWEST_PRIORITY = 19


class Fusing:
    """Counts the samples of one cut in a row; at `FUSE_AFTER` it fuses in the background.

    From then on the last of the fused segments is not there by itself: heads do not need it, and
    most weights would be in memory twice. ``whole``, on which samples end that were sent in vain,
    gets it back as soon as the cut changes, long before such a sample is given up.
    """

    def __init__(self, whole: Network) -> None:
        self._whole = whole
        self._cut: int | None = None
        self._samples = 0

    def observe(self, network: Network, cut: int) -> threading.Thread | None:
        """Note that a sample's head begins and runs to ``cut``; return the thread it starts."""
        self._samples = self._samples + 1 if cut == self._cut else 1
        self._cut = cut
        if self._samples == 1 and (released := self._whole.released(cut)):
            return _begin(partial(self._whole.restore, released))
        stops = network.bundle.manifest.stops(cut)
        if self._samples == FUSE_AFTER and cut:
            return _begin(partial(network.fuse, stops))
        # Between two heads: the one before may have begun before its segments were fused.
        if self._samples > FUSE_AFTER and network.release(stops):
            return _begin(return_unused_memory)
        return None


def _begin(task: Callable[[], None]) -> threading.Thread:
    # Not a daemon, as the thread that starts it: a process that ends amid a load is aborted.
    thread = threading.Thread(target=_run, args=(task,), name="fuse", daemon=False)
    thread.start()
    return thread


def _run(task: Callable[[], None]) -> None:
    """Run at the lowest priority, so that samples in the meantime are not late for it."""
    with contextlib.suppress(AttributeError, OSError):  # not every system has it by thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
    with contextlib.suppress(OfframpError):  # the segments go on one by one
        task()
