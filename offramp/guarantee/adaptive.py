"""Thresholds that follow the samples: each exit agrees with the end as often as in calibration.

For each exit a `BetaMixture` starts from the calibration samples and goes on learning from those
of which the end's answer comes to be known. A plan's threshold t has a level: the chance to agree
from t on in calibration. The threshold moves by as much as the score at which this level is
reached has moved since. While nothing changes, it stays; and as mixtures are of all samples, not of
those that some plan lets come so far, a new plan goes on with what is known.

Of samples that leave, the end's answer is not known: only unsure ones would teach, and a threshold
that is too low would never be found out. So of those that could leave, a share, the sentinels, is
drawn by lot to go on. A sentinel stands for 1 / share samples (Horvitz and Thompson, JASA 1952), so
that the two together are unbiased whatever the thresholds were.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.errors import ConfigError
from offramp.exits.policy import WATCHED
from offramp.guarantee.beta_mixture import BetaMixture
from offramp.tensors import Array

__all__ = ["MEMORY", "AdaptiveThresholds"]

MEMORY = 4000.0
"""How many samples are remembered; a change is followed within about as many."""

_FINE = 0.01  # thresholds are worked out anew when so much of the memory has changed


class AdaptiveThresholds:
    """The thresholds of one bundle's plans. It has no clock; its dice are given.

    ``scores`` (E, N) and ``agrees`` bool (E, N) are of the calibration samples: how sure each exit
    is, and whether it answers as the whole model does. An exit that in calibration agreed, or did
    not, on fewer than ten samples keeps its thresholds.
    """

    def __init__(
        self, scores: Array, agrees: Array, sentinel_share: float, dice: np.random.Generator
    ) -> None:
        if not 0 < sentinel_share <= 1:
            raise ConfigError(
                f"a share of sentinels of {sentinel_share:g} does not do; give more than 0, so "
                "that what leaves is tried now and then, and 1 at most"
            )
        pairs = list(zip(scores, agrees, strict=True))
        self._before = [BetaMixture.fitted(*pair) for pair in pairs]
        self._now = [BetaMixture.fitted(*pair, memory=MEMORY) for pair in pairs]
        self._share, self._dice = sentinel_share, dice
        self._moved: dict[tuple[float, ...], tuple[float, ...]] = {}
        self._since = 0.0

    def is_sentinel(self) -> bool:
        """Draw whether a sample goes on of which an exit is sure. To be asked once for each."""
        return bool(self._dice.random() < self._share)

    def observe(self, scores: Sequence[float], agrees: Sequence[bool], *, sentinel: bool) -> None:
        """Take a sample of which the end's answer is known: each exit's score, and if it agrees.

        Both are (E,) or shorter; scores are NaN where an exit did not run.
        """
        weight = 1 / self._share if sentinel else 1.0
        for mixture, score, agreed in zip(self._now, scores, agrees, strict=False):
            mixture.observe(score, agreed, weight)
        self._since += weight
        if self._since >= MEMORY * _FINE:
            self._moved, self._since = {}, 0.0

    def thresholds(self, planned: Sequence[float]) -> tuple[float, ...]:
        """Return a plan's thresholds as they are now: `WATCHED` where no score is sure enough.

        Exits at which the plan lets nobody leave stay as they are.
        """
        key = tuple(planned)
        if key not in self._moved:
            self._moved[key] = tuple(self._move(at, t) if t <= 1 else t for at, t in enumerate(key))
        return self._moved[key]

    def _move(self, at: int, planned: float) -> float:
        level = self._before[at].chance_from(planned)
        if level is None:
            return planned
        before, now = self._before[at].threshold(level), self._now[at].threshold(level)
        assert before is not None
        assert now is not None
        moved = planned + (now - before)
        return max(moved, 0.0) if moved <= 1 else WATCHED
