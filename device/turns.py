"""Turns: what had changed most when another plan came into force, as a word to count by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["turn"]

_LEAST = math.log(1.02)  # what changed by less is in doubt as much as before
_BELIEFS = {  # with the amount below which a change means nothing
    "bandwidth_bps": ("bandwidth", 1.0),
    "rtt_s": ("round_trip", 1e-3),
    "queue_s": ("server_wait", 1e-3),
    "price_s": ("server_price", 1e-3),
    "device_stretch": ("device_speed", 1e-6),
    "server_stretch": ("server_speed", 1e-6),
    "rate_hz": ("sample_rate", 1e-3),
}


def turn(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    """Return why plans were changed, by the conditions of the last change and of this one.

    ``start`` for the first plan; ``server_lost`` or ``server_back`` if the server can be reached no
    more, or again; else the belief that moved by the greatest factor; ``certainty`` if none did,
    for then the doubt of them has.
    """
    if before is None:
        return "start"
    if before["reachable"] != now["reachable"]:
        return "server_back" if now["reachable"] else "server_lost"
    moved = {
        word: abs(math.log((now[key] + least) / (before[key] + least)))
        for key, (word, least) in _BELIEFS.items()
    }
    most = max(moved, key=moved.__getitem__)
    return most if moved[most] > _LEAST else "certainty"
