"""Levels that are kept and dropped, against the definition."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp import codecs
from offramp.boundary_codec import LOSSLESS
from offramp.capture.level_frontier import Recorded, frontier_levels


def recorded(size, lost, largest=None):
    sizes = np.full(100, float(size))
    if largest is not None:
        sizes[-10:] = largest
    return Recorded(sizes, lost)


few = st.integers(1, 4)
figures = st.builds(recorded, few, few.map(float), few)


def figures_of(one):
    return one.sizes.mean(), np.quantile(one.sizes, 0.95), one.lost


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(codecs.names()), figures, max_size=6))
def test_no_kept_level_is_beaten_and_every_other_is(found) -> None:
    kept = frontier_levels(found)
    assert kept == [level for level in found if level in kept]
    figures = {level: figures_of(one) for level, one in found.items()}
    for level, mine in figures.items():
        beaten = False
        for rival, other in figures.items():
            pairs = list(zip(other, mine, strict=True))
            as_quick = codecs.get(rival).quick or not codecs.get(level).quick
            no_worse = all(theirs <= ours for theirs, ours in pairs)
            beaten |= as_quick and no_worse and any(theirs < ours for theirs, ours in pairs)
        assert (level in kept) == (level == LOSSLESS or not beaten)


def test_a_slow_level_beats_no_quick_one() -> None:
    found = {"context5": recorded(10, 0.1), "affine4": recorded(20, 0.2)}
    assert frontier_levels(found) == ["context5", "affine4"]
    found["affine8"] = recorded(9, 0.1)
    assert frontier_levels(found) == ["affine8"]


def test_lossless_stays_and_beats() -> None:
    found = {"affine8": recorded(30, 0.0), LOSSLESS: recorded(20, 0.0), "raw": recorded(90, 0.0)}
    assert frontier_levels(found) == [LOSSLESS]
    found["affine8"] = recorded(10, 0.0)
    assert frontier_levels(found) == ["affine8", LOSSLESS]


def test_equal_levels_both_stay() -> None:
    assert len(frontier_levels({"png": recorded(5, 0.0), "raw": recorded(5, 0.0)})) == 2


def test_the_95th_percentile_counts() -> None:
    same_mean = {"raw": recorded(10, 0.0), "png": recorded(9, 0.0, largest=19)}
    assert frontier_levels(same_mean) == ["raw"]
