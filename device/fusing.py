"""Fusing: a head that has stopped at the same cut for long is loaded as one program.

Segments one after the other cost more than the whole: an engine changes the layout of tensors at
its borders, and merges no operations across them. Loading them as one takes time and memory, so it
is done when it will pay.
"""

from __future__ import annotations

import contextlib
import os
import threading

from offramp.errors import OfframpError
from offramp.network import Network

__all__ = ["FUSE_AFTER", "Fusing"]

FUSE_AFTER = 50
"""Samples in a row with one cut before its segments are fused. Loading them took about as long as
5 samples here, and each was 10 to 20% faster afterwards: it pays within as many samples again."""

_LOWEST_PRIORITY = 19


class Fusing:
    """Counts the samples of one cut in a row; at `FUSE_AFTER` it fuses in the background."""

    def __init__(self) -> None:
        self._cut: int | None = None
        self._samples = 0

    def observe(self, network: Network, cut: int) -> threading.Thread | None:
        """Note that a sample's head runs to ``cut``; return the thread if that starts one."""
        self._samples = self._samples + 1 if cut == self._cut else 1
        self._cut = cut
        if self._samples != FUSE_AFTER or not cut:
            return None
        stops = network.bundle.manifest.stops(cut)
        # Not a daemon, as the thread that starts it: a process that ends amid a load is aborted.
        thread = threading.Thread(target=_fuse, args=(network, stops), name="fuse", daemon=False)
        thread.start()
        return thread


def _fuse(network: Network, stops: tuple[int, ...]) -> None:
    """Fuse at the lowest priority, so that samples in the meantime are not late for it."""
    with contextlib.suppress(AttributeError, OSError):  # not every system has it by thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
    with contextlib.suppress(OfframpError):  # the segments go on one by one
        network.fuse(stops)
