"""Figures for people: no exponent, three digits, and the unit that fits."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.quantities import (
    figure,
    say_bandwidth,
    say_bytes,
    say_energy,
    say_time,
)

SAYS = (say_time, say_bandwidth, say_bytes, say_energy)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        *[(0.0, "0"), (5.0, "5"), (2.345, "2.35"), (0.8, "0.8"), (99.96, "100"), (999.4, "999")],
        *[(999.5, "1000"), (2345.0, "2345"), (1.5e7, "15000000"), (-2345.0, "-2345")],
        *[
            (0.000014, "0.000014"),
            (1e-6, "0.000001"),
            (1e-308, "<0.000001"),
            (math.inf, "inf"),
            (math.nan, "nan"),
        ],
    ],
)
def test_figures_have_three_digits_and_no_exponent(amount: float, shown: str) -> None:
    assert figure(amount) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (say_bandwidth(2.345e9), "2.35 Gbit/s"),
        (say_bandwidth(999.6e6), "1 Gbit/s"),
        (say_bandwidth(40e6), "40 Mbit/s"),
        (say_bandwidth(0.8e6), "800 kbit/s"),
        (say_bandwidth(500), "0.5 kbit/s"),
        (say_bandwidth(2e12), "2000 Gbit/s"),
        (say_time(0.0154), "15.4 ms"),
        (say_time(4e-7), "0.0004 ms"),
        (say_time(0.9996), "1 s"),
        (say_time(1.5), "1.5 s"),
        (say_time(86400.0), "86400 s"),
        (say_bytes(0), "0 B"),
        (say_bytes(999), "999 B"),
        (say_bytes(4321), "4.32 kB"),
        (say_bytes(2.345e6), "2.35 MB"),
        (say_bytes(7e9), "7 GB"),
        (say_energy(0.15), "150 mJ"),
    ],
)
def test_the_unit_is_the_one_that_fits(said: str, shown: str) -> None:
    assert said == shown


@given(amount=st.floats(1e-3, 1e15), which=st.sampled_from(SAYS))
def test_what_is_said_is_within_half_a_unit_of_the_last_digit(amount: float, which) -> None:  # type: ignore[no-untyped-def]
    said, unit = which(amount).split(" ")
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", said)
    scale = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}.get(unit[0] if len(unit) > 1 else "", 1.0)
    assert float(said) * scale == pytest.approx(amount, rel=0.005001)


@given(st.floats(1e-6, 1e15), st.floats(1e-6, 1e15))
def test_the_greater_one_is_never_shown_as_the_lesser(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert float(figure(low)) <= float(figure(high))
