"""Links that have a name, described as in a file."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

PRESETS: dict[str, dict[str, Any]] = {
    "wifi": {
        "up": [
            {"kind": "rate", "bps": 30e6},
            {"kind": "delay", "seconds": 0.002},
            {"kind": "jitter", "seconds": 0.001},
        ],
    },
    "lte": {
        "up": [
            {"kind": "rate", "markov": {}},
            {"kind": "delay", "seconds": 0.020},
            {"kind": "jitter", "seconds": 0.003},
        ],
    },
    "poor": {
        "up": [
            {"kind": "rate", "bps": 500e3},
            {"kind": "delay", "seconds": 0.060},
            {"kind": "jitter", "seconds": 0.010},
        ],
    },
}
"""Round figures, not measurements: a good wireless network, a phone, and the edge of coverage."""
