"""Colours and marks: the same thing looks the same in every plot, and to colour-blind eyes too.

Hues are those of Okabe and Ito. Whatever runs on the device is warm, the server blue, exits
green, the network purple. Strategies have a colour, a line style and a marker each: families share
a hue (fixed ones of their own, published ones without exits blue-green, with exits purple, those
that know the future grey), and within a family line and marker tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["OWN", "SPAN_COLOURS", "STYLES", "Mark", "Style", "answerer_marks", "strategy_styles"]

OWN = "offramp"
"""Offramp's own strategy, which plots emphasise and a report is about."""

Mark = tuple[str, str]
"""A colour and a marker, as matplotlib names them."""

_EXIT_GREENS = ("#9BD8B4", "#3CAE7A", "#00734C", "#00402B")
_EXIT_MARKERS = ("^", "v", "<", ">")
_DEVICE, _SERVER, _NONE = ("#D55E00", "s"), ("#0072B2", "o"), ("#000000", "x")


@dataclass(frozen=True)
class Style:
    """How a strategy is drawn: ``dashes`` are lengths on and off, in line widths; none, a line.

    The marker is as matplotlib takes it.
    """

    colour: str
    dashes: tuple[float, ...] = ()
    marker: Any = "o"
    width: float = 1.8

    @property
    def line(self) -> Any:
        """The line style as matplotlib takes it."""
        return (0.0, self.dashes) if self.dashes else "-"


_DASHED, _DOTTED, _DASH_DOT = (3.7, 1.6), (1.0, 1.65), (6.4, 1.6, 1.0, 1.6)
_LONG, _DASH_DOT_DOT = (8.0, 2.0), (6.0, 1.5, 1.0, 1.5, 1.0, 1.5)

STYLES: dict[str, Style] = {
    OWN: Style("#000000", (), "*", 2.6),
    "device_only": Style("#E69F00", _DASHED, "s"),
    "device_exits": Style("#D55E00", _DASH_DOT, "^"),
    "server_only": Style("#3B9FDB", _DOTTED, "o"),
    "server_only_raw": Style("#0072B2", _DASHED, "h"),
    "fixed_split": Style("#8A8D2C", _DASH_DOT_DOT, "D"),
    "neurosurgeon": Style("#00A087", (), "v"),
    "dads": Style("#00664F", _DASHED, "<"),
    "qdmp": Style("#5FC9B4", _DASH_DOT, ">"),
    "edgent": Style("#CC79A7", (), "P"),
    "spinn": Style("#882255", _LONG, "X"),
    "portend": Style("#B04FD0", _DASH_DOT, "d"),
    "ans": Style("#7A4B2A", _LONG, "p"),
    "static": Style("#999999", _DASHED, "8"),
    "oracle": Style("#5A5A5A", _DOTTED, "H", 2.2),
}
_OTHERS = (
    Style("#44AA99", _LONG, (4, 1, 0)),
    Style("#AA4499", _DOTTED, (3, 1, 0)),
    Style("#6B6B6B", (), (6, 1, 0)),
    Style("#A04000", _DASH_DOT_DOT, (8, 1, 0)),
)

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


def strategy_styles(labels: Sequence[str]) -> dict[str, Style]:
    """Return a style for each run, those that are well known always the same."""
    others = [label for label in labels if label not in STYLES]
    spare = {label: _OTHERS[at % len(_OTHERS)] for at, label in enumerate(others)}
    return {label: STYLES.get(label) or spare[label] for label in labels}
