"""Fusing tails: when all requests have come from the same cut for long, its tail runs as one.

Where exits behind the cut may answer, it runs as one from each of them to the next.
"""

from __future__ import annotations

import threading
from functools import partial

from offramp.exits.later import tail_stops
from offramp.fusing import FUSE_AFTER, Streak, begin_quietly
from offramp.network import Network

__all__ = ["TailFusing"]


class TailFusing:
    """Counts requests from one cut in a row; at `FUSE_AFTER` it fuses the tail in the background.

    The single segments stay, for devices with other cuts. May be used from several threads.
    """

    def __init__(self) -> None:
        self._streak = Streak()
        self._lock = threading.Lock()

    def observe(self, network: Network, cut: int) -> threading.Thread | None:
        """Note that a request runs from ``cut`` on; return the thread if that starts one."""
        with self._lock:
            requests = self._streak.observe((network.bundle.digest, cut))
        if requests != FUSE_AFTER:
            return None
        return begin_quietly(partial(network.fuse, tail_stops(network.bundle.manifest, cut)))
