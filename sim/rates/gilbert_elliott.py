"""The two-state channel of Gilbert (Bell System Technical Journal 39, 1960) and Elliott (42, 1963).

There it says which bits are wrong; here, at what rate bytes pass.
"""

from __future__ import annotations

from offramp.quantities import figure
from sim.rates.markov import MarkovState

__all__ = ["gilbert_elliott"]


def gilbert_elliott(
    mean_bps: float, bad_share: float, bad_s: float, bad_bps: float = 0.0
) -> tuple[MarkovState, MarkovState]:
    """The good and the bad state of a link that is bad for `bad_share` of the time.

    A bad period lasts `bad_s` in the mean, and passes `bad_bps`; the rate of the good state is
    such that all the time together passes `mean_bps`. Raises `ValueError` where that cannot be.
    """
    if not 0 < bad_share < 1:
        raise ValueError(f"bad_share must be above 0 and below 1, not {figure(bad_share)}")
    if not 0 <= bad_bps < mean_bps:
        raise ValueError(
            f"bad_bps must be below mean_bps {figure(mean_bps)}, not {figure(bad_bps)}"
        )
    good_bps = (mean_bps - bad_share * bad_bps) / (1 - bad_share)
    good_s = bad_s * (1 - bad_share) / bad_share
    return MarkovState(good_bps, good_s, (0.0, 1.0)), MarkovState(bad_bps, bad_s, (1.0, 0.0))
