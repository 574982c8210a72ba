"""Boards: what some draw, with the sources; a file of your own for all others.

These are typical figures, of other samples of the board than yours and of other radios: good enough
to compare plans, not to size a battery. Jetsons are missing, as no measurement of idle and load on
one board was found to cite; they can measure themselves.
"""

from __future__ import annotations

from pathlib import Path

from offramp.choices import choose
from offramp.settings import load_settings
from partitioner.power import Power

__all__ = ["BOARDS", "RADIOS", "find_power"]

_REVIEWS = "measured at the wall by J. Geerling, github.com/geerlingguy/sbc-reviews, issue"
_HUANG = "radio: a phone's at 5 Mbit/s, Huang et al., MobiSys 2012"
_TYPICAL = "typical, measure yours"

RADIOS: dict[str, dict[str, float]] = {
    "wifi": {"radio_w": 1.55, "radio_up_w": 0.12, "radio_tail_s": 0.24},
    "lte": {"radio_w": 3.48, "radio_up_w": 1.06, "radio_tail_s": 11.6},
}
"""Sending takes a part that grows with the rate: 0.133 W + 0.283 W per Mbit/s on Wi-Fi, 1.29 W +
0.438 W on LTE; it is taken at 5 Mbit/s."""

_CABLED = (
    Power(
        name="rpi4",
        source=f"{_REVIEWS} 4: Raspberry Pi 4 B, at rest and all cores busy; {_TYPICAL}",
        idle_w=1.6,
        compute_w=3.4,
    ),
    Power(
        name="rpi5",
        source=f"{_REVIEWS} 60: Raspberry Pi 500, which has the Pi 5's processor, at rest and all "
        f"cores busy; {_TYPICAL}",
        idle_w=3.1,
        compute_w=5.9,
    ),
)


def _with_radio(board: Power, radio: str) -> Power:
    named = {"name": f"{board.name}-{radio}", "source": f"{board.source}; {_HUANG}"}
    return board.model_copy(update={**named, **RADIOS[radio]})


BOARDS: dict[str, Power] = {
    power.name: power
    for board in _CABLED
    for power in (board, *(_with_radio(board, radio) for radio in RADIOS))
}
"""By name: a board on a cable, of which nothing is counted, and on each of `RADIOS`."""


def find_power(name: str) -> Power:
    """Return the figures of a board by its name, or those of a YAML file by its path.

    Raises `ConfigError` if there is neither, or the file is wrong.
    """
    if name not in BOARDS and (Path(name).suffix or Path(name).is_file()):
        return load_settings(Power, Path(name))
    return choose("board", name, BOARDS)
