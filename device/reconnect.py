"""Reconnection: how long a device tries to connect, and waits before it tries again."""

from __future__ import annotations

__all__ = ["CONNECT_S", "KEEPALIVE_S", "REFUSED_S", "SILENCE_S", "Reconnection", "pause_s"]

CONNECT_S = 2.0
"""An attempt that has not opened a connection by then has failed."""

KEEPALIVE_S = 10.0  # the server allows a ping each 5 s
"""After so long without a word the transport asks the server for one, and waits as long again."""

SILENCE_S = 2 * KEEPALIVE_S
"""A connection without a word for so long, though one is due, is given up."""

REFUSED_S = 30.0
"""After so long a device that was refused, for what it shows or is shown, asks again."""

_PAUSES_S = (0.1, 0.2, 0.5, 1.0)


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row."""
    return _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]


class Reconnection:
    """Counts the attempts that failed since a connection was last open."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def ended(self, *, opened: bool, refused: bool = False) -> float:
        """Return how long to wait now that an attempt, or the connection it ``opened``, ended.

        Who was ``refused`` will be again until somebody changes a token or a certificate.
        """
        if refused:
            return REFUSED_S
        self._failures = 0 if opened else self._failures + 1
        return pause_s(self._failures)
