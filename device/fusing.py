"""Fusing heads: one that has stopped at the same cut for long is loaded as one program."""

from __future__ import annotations

import threading
from functools import partial

from offramp.fusing import FUSE_AFTER, Streak, begin_quietly
from offramp.memory import return_unused_memory
from offramp.network import Network

__all__ = ["Fusing"]


class Fusing:
    """Counts the samples of one cut in a row; at `FUSE_AFTER` it fuses in the background.

    From then on the last of the fused segments is not there by itself: heads do not need it, and
    most weights would be in memory twice. ``whole``, on which samples end that were sent in vain,
    gets it back as soon as the cut changes, long before such a sample is given up.
    """

    def __init__(self, whole: Network) -> None:
        self._whole = whole
        self._streak = Streak()

    def observe(self, network: Network, cut: int) -> threading.Thread | None:
        """Note that a sample's head begins and runs to ``cut``; return the thread it starts."""
        samples = self._streak.observe(cut)
        if samples == 1 and (released := self._whole.released(cut)):
            return begin_quietly(partial(self._whole.restore, released))
        stops = network.bundle.manifest.stops(cut)
        if samples == FUSE_AFTER and cut:
            return begin_quietly(partial(network.fuse, stops))
        # Between two heads: the one before may have begun before its segments were fused.
        if samples > FUSE_AFTER and network.release(stops):
            return begin_quietly(return_unused_memory)
        return None
