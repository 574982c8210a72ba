"""p-values: how well counted losses agree with the hypothesis that the accuracy drops too much.

A sample's loss is -1, 0 or 1: whether the whole model is right, less whether the answer is. The
hypothesis H says that its mean, the drop in accuracy, is epsilon or more. A p-value is valid if
under H it is at most delta with probability at most delta, for every delta and any number of
samples. All of these are, without approximation; which is smallest depends on the losses.

They read only how many samples became worse and how many better. `tests/offramp/guarantee`
enumerates all such counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["P_VALUES", "PValue", "betting", "binomial", "either", "hoeffding_bentkus"]

Floats = NDArray[np.float64]
Counts = NDArray[Any]
PValue = Callable[[Counts, Counts, int, float], Floats]
"""Takes how many of n samples became worse and better, each (...), n, and epsilon."""

_EXACT_SHARE = 0.75
_BETS = (np.arange(32) + 0.5) / 32


def binomial(worse: Counts, better: Counts, count: int, epsilon: float) -> Floats:
    """Return the exact p-value of the losses clipped at 0: P(Bin(n, epsilon) <= worse).

    What exits mend is not counted, so it tests more than is promised (Brown, Cai and DasGupta,
    Statistical Science 2001, on the exact interval that it inverts).
    """
    from scipy.stats import binom

    return np.asarray(binom.cdf(np.asarray(worse), count, epsilon), dtype=np.float64)


def hoeffding_bentkus(worse: Counts, better: Counts, count: int, epsilon: float) -> Floats:
    """Return the Hoeffding-Bentkus p-value of the losses clipped at 0 (Bates et al., JACM 2021).

    min(exp(-n kl(r, epsilon)), e P(Bin(n, epsilon) <= n r)), r the mean, capped at epsilon. It
    holds for any loss in [0, 1]. For losses of 0 and 1 the exact one is smaller; this is here since
    published results use it. For the signed loss, which spans 2, it would need
    2 log(1 / delta) / epsilon^2 samples.
    """
    rate = np.minimum(np.asarray(worse) / count, epsilon)
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(rate > 0, rate * np.log(rate / epsilon), 0.0)
    divergence = hit + (1 - rate) * np.log((1 - rate) / (1 - epsilon))
    hoeffding = np.exp(-count * divergence)
    bentkus = np.e * binomial(worse, better, count, epsilon)
    return np.asarray(np.minimum(np.minimum(hoeffding, bentkus), 1.0))


def betting(worse: Counts, better: Counts, count: int, epsilon: float) -> Floats:
    """Return the betting p-value of the signed losses (Waudby-Smith and Ramdas, JRSS B 2024).

    A gambler who bets against H has the capital prod_i (1 - b (loss_i - epsilon)), never negative
    for a bet b in [0, 1 / (1 - epsilon)], and with mean at most 1 under H; so has the mean over 32
    such bets, spread evenly. By Markov's inequality its inverse is a p-value. It adapts to the
    variance: where few samples change, few losses are needed to be sure.
    """
    worse, better = np.asarray(worse)[..., None], np.asarray(better)[..., None]
    bets = _BETS / (1 - epsilon)
    capital = (
        worse * np.log1p(-bets * (1 - epsilon))
        + better * np.log1p(bets * (1 + epsilon))
        + (count - worse - better) * np.log1p(bets * epsilon)
    )
    most = capital.max(axis=-1)
    log_mean = most + np.log(np.exp(capital - most[..., None]).mean(axis=-1))
    return np.asarray(np.exp(-np.maximum(log_mean, 0.0)))


def either(worse: Counts, better: Counts, count: int, epsilon: float) -> Floats:
    """Return the smaller of two p-values, each raised for having two chances (Bonferroni).

    Three quarters of delta go to the exact one, which is hard to beat where exits mend little, and
    one quarter to betting, which sees what they mend.
    """
    exact = binomial(worse, better, count, epsilon) / _EXACT_SHARE
    bets = betting(worse, better, count, epsilon) / (1 - _EXACT_SHARE)
    return np.asarray(np.minimum(np.minimum(exact, bets), 1.0))


P_VALUES: Mapping[str, PValue] = {
    "betting": betting,
    "binomial": binomial,
    "either": either,
    "hoeffding_bentkus": hoeffding_bentkus,
}
