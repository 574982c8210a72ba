"""An envelope gives at each x the row that brute force gives, in exact whole numbers too."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.cuts.envelope import Envelope

WHOLE = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=12)


@given(lines=WHOLE, at=st.integers(0, 60))
def test_the_best_row_is_that_of_brute_force_ties_and_all(
    lines: list[tuple[int, int]], at: int
) -> None:
    """Ties go to the smaller slope, then the lower row. A fifth of a whole number is no float."""
    x = Fraction(at, 4)
    seconds, slopes = np.array(lines, float).T
    expected = min(range(len(lines)), key=lambda row: (lines[row][0] + lines[row][1] * x,
                                                       lines[row][1], row))  # fmt: skip
    assert Envelope(seconds, slopes).best(float(x)) == expected


@given(lines=WHOLE, at=st.integers(0, 40), ends=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_a_range_cuts_the_envelope_off(
    lines: list[tuple[int, int]], at: int, ends: tuple[int, int]
) -> None:
    seconds, slopes = np.array(lines, float).T
    least, most = sorted(end / 4 for end in ends)
    whole, part = Envelope(seconds, slopes), Envelope(seconds, slopes, least, most)
    assert part.best(at / 4) == whole.best(min(max(at / 4, least), most))
    assert set(part.winners) <= set(whole.winners)
    assert len(part.winners) == len(part.breaks) + 1


@given(lines=WHOLE, at=st.integers(0, 400))
def test_a_row_stays_best_within_its_span(lines: list[tuple[int, int]], at: int) -> None:
    seconds, slopes = np.array(lines, float).T
    envelope, x = Envelope(seconds, slopes, 0.0, 50.0), at / 8
    low, high = envelope.span(x)
    assert low <= x <= high
    assert envelope.best((low + high) / 2) == envelope.best(low) == envelope.best(x)
    if high < 50:
        assert envelope.best(high) != envelope.best(x)
    assert math.isinf(Envelope(seconds, slopes).span(1e9)[1])


@pytest.mark.parametrize("shape", ["square", "hyperbola", "noise", "low end"])
def test_thousands_of_lines_come_out_as_the_least_of_them(shape: str) -> None:
    dice = np.random.default_rng(5)
    slopes = np.sort(dice.random(5_000)) + 0.01
    seconds = {
        "square": dice.random(5_000),
        "hyperbola": 1 / slopes,
        "noise": (1 + 1e-3 * dice.random(5_000)) / slopes,
        "low end": np.append(1 / slopes[:-1], -1e5),
    }[shape]
    envelope = Envelope(seconds, slopes)
    assert list(envelope.breaks) == sorted(set(envelope.breaks))
    for x in [*np.logspace(-3, 4, 40), *envelope.breaks[::97]]:
        row, values = envelope.best(x), seconds + slopes * x
        assert values[row] == pytest.approx(values.min(), rel=1e-12)


def test_what_is_infinite_is_never_best() -> None:
    envelope = Envelope(np.array([np.inf, 3.0, 0.0]), np.array([0.0, 1.0, np.inf]))
    assert envelope.winners == (1,)
    assert envelope.breaks == ()


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [([np.nan, 1], 0, 1), ([np.inf, np.inf], 0, 1), ([1, 2], -1, 1), ([1, 2], 2, 1),
     ([1, 2], 0, np.nan)],
)  # fmt: skip
def test_no_line_or_no_range_is_an_error(seconds: list[float], least: float, most: float) -> None:
    with pytest.raises(ValueError, match="envelope"):
        Envelope(np.array(seconds), np.ones(2), least, most)
