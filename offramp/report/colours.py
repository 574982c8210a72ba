"""Colours and marks: the same thing looks the same in every plot, and to colour-blind eyes too.

Hues are those of Okabe and Ito. Whatever runs on the device is warm, the server blue, exits
green, the network purple; strategies take the hues that are left, and a line style each.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["SPAN_COLOURS", "Mark", "answerer_marks", "strategy_styles"]

Mark = tuple[str, str]
"""A colour and a marker or line style, as matplotlib names them."""

_EXIT_GREENS = ("#9BD8B4", "#3CAE7A", "#00734C", "#00402B")
_EXIT_MARKERS = ("^", "v", "<", ">")
_DEVICE, _SERVER, _NONE = ("#D55E00", "s"), ("#0072B2", "o"), ("#000000", "x")

_STRATEGIES: dict[str, Mark] = {
    "offramp": ("#000000", "-"),
    "device_only": ("#E69F00", "--"),
    "device_exits": ("#CC79A7", "-."),
    "server_only": ("#3B9FDB", ":"),
    "fixed_split": ("#8A8D2C", (0, (6, 1.5, 1, 1.5, 1, 1.5))),  # type: ignore[dict-item]
}
_OTHERS = ("#7A5195", "#6B6B6B", "#A04000", "#117A65")

SPAN_COLOURS: dict[str, tuple[str, str]] = {
    "wait_s": ("waiting on the device", "#BDBDBD"),
    "head_s": ("head and exits on the device", "#D55E00"),
    "encode_s": ("encoding", "#F0A875"),
    "network_s": ("network", "#9467BD"),
    "queue_s": ("queue at the server", "#BFDDF0"),
    "decode_s": ("decoding", "#6BB3DC"),
    "tail_s": ("tail on the server", "#0072B2"),
    "fallback_s": ("finishing on the device after all", "#F0C419"),
    "rest_s": ("waiting for the server in vain, and the rest", "#6B6B6B"),
}
"""What each of a latency's parts is called, and its colour."""


def answerer_marks(names: Sequence[str]) -> dict[str, Mark]:
    """Return colour and marker for each of those who answer; "" stands for nobody."""
    marks: dict[str, Mark] = {}
    for name in names:
        at = len(marks) % len(_EXIT_GREENS)
        marks[name] = {"device": _DEVICE, "server": _SERVER, "": _NONE}.get(
            name, (_EXIT_GREENS[at], _EXIT_MARKERS[at])
        )
    return marks


def strategy_styles(labels: Sequence[str]) -> dict[str, Mark]:
    """Return colour and line style for each run, those that are well known always the same."""
    others = [label for label in labels if label not in _STRATEGIES]
    spare = {label: (_OTHERS[at % len(_OTHERS)], "-") for at, label in enumerate(others)}
    return {label: _STRATEGIES.get(label) or spare[label] for label in labels}
