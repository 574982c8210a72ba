"""Pauses: how long whoever drives a dispatch waits for what, in real time and in virtual time."""

from __future__ import annotations

__all__ = ["FIRST_LOAD_S", "SHORTEST_S", "WARM_S"]

WARM_S = 10.0
"""For so long the first sample waits until the link is known, once there is a connection."""

FIRST_LOAD_S = 2.0
"""For so long it waits for the codec level that it is likely to be sent by."""

SHORTEST_S = 0.0005
"""Time is told no sooner than that again, however soon the dispatch asks for it."""
