"""Readiness: which codec levels can be sent by at once, and which have to be loaded first.

Levels that are not quick need compiled loops: 70 MB and a third of a second or more. A device that
never sends by one does without, and one whose plan comes to such a level sends losslessly until it
is there.
"""

from __future__ import annotations

import threading
from functools import partial

from offramp.boundary_codec import LOSSLESS
from offramp.fusing import begin_quietly
from offramp.memory import return_unused_memory
from offramp.network import Network

__all__ = ["Readiness"]


class Readiness:
    """The codec levels of a network's bundle, each loaded when it is first wanted."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._ready: set[tuple[int, str]] = set()
        self._loading: threading.Thread | None = None

    def prepare_quick(self) -> None:
        """Load every level that takes no time and memory to speak of."""
        for cut, boundary in enumerate(self._network.bundle.manifest.boundaries):
            for level in boundary.levels:
                if self._is_quick(cut, level):
                    self.prepare(cut, level)

    def prepare(self, cut: int, level: str) -> None:
        """Load what sending at a level needs."""
        self._network.prepare(cut, level, "encoder")
        self._ready.add((cut, level))

    def expect(self, cut: int, level: str, limit_s: float) -> None:
        """Load what sending at a level needs, and wait for that at most ``limit_s``.

        Compiling loops for the first time on a machine takes longer, and goes on.
        """
        self.level(cut, level)
        if self._loading is not None:
            self._loading.join(limit_s)

    def level(self, cut: int, wanted: str) -> str:
        """Return the level to send at now: the one wanted if it is there, or quickly will be."""
        if (cut, wanted) in self._ready:
            return wanted
        can_wait = LOSSLESS in self._network.bundle.manifest.boundaries[cut].levels
        if self._is_quick(cut, wanted) or not can_wait:
            self.prepare(cut, wanted)
            return wanted
        if self._loading is None or not self._loading.is_alive():
            self._loading = begin_quietly(partial(self._load, cut, wanted))
        return LOSSLESS

    def _load(self, cut: int, level: str) -> None:
        self.prepare(cut, level)
        return_unused_memory()

    def _is_quick(self, cut: int, level: str) -> bool:
        return all(codec.quick for codec in self._network.codecs.kinds(cut, level))
