"""Readiness: loads what sending at a codec level needs, on a thread where that takes long."""

from __future__ import annotations

import logging
import threading
from functools import partial

from device.levels import Levels, slow_levels
from offramp.errors import OfframpError
from offramp.fusing import begin_quietly
from offramp.memory import return_unused_memory
from offramp.network import Network

__all__ = ["Readiness"]

_log = logging.getLogger(__name__)

_NICE = 5
"""A plan waits for what is loaded: on a busy core 1 s of work takes 4 s, at the lowest a minute."""


class Readiness:
    """The codec levels of a network's bundle, each loaded when `Levels` says so."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._levels = Levels(slow_levels(network.bundle.manifest))
        self._ready: set[tuple[int, str]] = set()
        self._loading: threading.Thread | None = None
        self._choosing = threading.Lock()

    def prepare_quick(self) -> None:
        """Load every level that takes no time and memory to speak of."""
        for cut, boundary in enumerate(self._network.bundle.manifest.boundaries):
            for level in boundary.levels:
                if all(codec.quick for codec in self._network.codecs.kinds(cut, level)):
                    self.prepare(cut, level)

    def prepare(self, cut: int, level: str) -> None:
        """Load what sending at a level needs."""
        self._network.prepare(cut, level, "encoder")
        self._ready.add((cut, level))
        self._levels.loaded(cut, level)

    def expect(self, cut: int, level: str, limit_s: float) -> None:
        """Load what sending at a level needs, and wait for that at most ``limit_s``.

        Compiling loops for the first time on a machine takes longer, and goes on.
        """
        self.level(cut, level)
        if self._loading is not None:
            self._loading.join(limit_s)

    def has(self, cut: int, wanted: str) -> bool:
        """Tell whether a level is there, or quickly will be; if not, begin to load it.

        May be asked from any thread.
        """
        return self._choose(cut, wanted) == wanted

    def level(self, cut: int, wanted: str) -> str:
        """Return the level to send at now: the one wanted if it is there, or quickly will be."""
        level = self._choose(cut, wanted)
        if level == wanted and (cut, wanted) not in self._ready:
            self.prepare(cut, wanted)
        return level

    def _choose(self, cut: int, wanted: str) -> str:
        with self._choosing:
            level, begins = self._levels.choose(cut, wanted)
            if begins:
                load = partial(self._load, cut, wanted)
                self._loading = begin_quietly(load, _NICE)
        return level

    def _load(self, cut: int, level: str) -> None:
        try:
            self.prepare(cut, level)
            return_unused_memory()
        except OfframpError as error:
            self._levels.give_up(cut, level)
            _log.warning("nothing is sent by %s at boundary %d: %s", level, cut, error)
        finally:
            self._levels.stopped()
