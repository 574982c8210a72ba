"""Conditions: the link and the two machines' loads, as they are now."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from offramp.errors import PlanError

__all__ = ["Conditions"]


@dataclass(frozen=True)
class Conditions:
    """What a plan depends on besides the profiles.

    ``bandwidth_bps`` is the uplink's; ``rtt_s`` the round trip of an empty message, the server's
    own time left out; ``queue_s`` the wait at the server. A stretch of 2 means that a machine
    takes twice its profile's time. ``reachable`` is false while no server answers.

    ``price_s`` is what a request costs all others at the server, in seconds of waiting. With
    ``hedged`` the device computes on while an answer is under way, and the first answer counts.
    Of what was sent because that looked quicker, the device answers a ``vain_share`` first all the
    same, or over a longer time a ``tail_vain_share``: times the share that a plan sends it decides
    on the slowest samples. So does how far seconds per bit and round trip are in doubt,
    ``s_per_bit_sigma`` and ``rtt_sigma_s``, as standard deviations. ``rate_hz`` is how many samples
    come a second by themselves; 0 where the next one waits until the device is ready for it.
    ``unevenness`` is the squared coefficient of variation of the time between them: 0 if they come
    evenly, 1 at random.
    """

    bandwidth_bps: float
    rtt_s: float
    queue_s: float = 0.0
    device_stretch: float = 1.0
    server_stretch: float = 1.0
    reachable: bool = True
    price_s: float = 0.0
    hedged: bool = False
    vain_share: float = 0.0
    tail_vain_share: float = 0.0
    s_per_bit_sigma: float = 0.0
    rtt_sigma_s: float = 0.0
    rate_hz: float = 0.0
    unevenness: float = 0.0

    @property
    def interval_s(self) -> float:
        """How long it takes until the next sample comes by itself; infinite if none does."""
        return 1 / self.rate_hz if self.rate_hz else math.inf

    def certain(self) -> Conditions:
        """Return them without doubt of the link, answers in vain, or a price of what is sent."""
        return replace(
            self,
            s_per_bit_sigma=0.0,
            rtt_sigma_s=0.0,
            vain_share=0.0,
            tail_vain_share=0.0,
            price_s=0.0,
        )

    def __post_init__(self) -> None:
        for name in ("vain_share", "tail_vain_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise PlanError(
                    f"conditions: {name} is {getattr(self, name)}; it must be a share, 0 to 1"
                )
        for name, low in (
            ("bandwidth_bps", 1.0),
            ("rtt_s", 0.0),
            ("queue_s", 0.0),
            ("device_stretch", 1e-6),
            ("server_stretch", 1e-6),
            ("price_s", 0.0),
            ("s_per_bit_sigma", 0.0),
            ("rtt_sigma_s", 0.0),
            ("rate_hz", 0.0),
            ("unevenness", 0.0),
        ):
            value = getattr(self, name)
            if not math.isfinite(value) or value < low:
                raise PlanError(
                    f"conditions: {name} is {value}; it must be finite and at least {low:g}"
                )
