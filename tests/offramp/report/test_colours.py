"""Styles of strategies: one for each that there is, all different, and to be told apart."""

import itertools

import pytest
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle

from offramp.report.colours import OWN, STYLES, strategy_styles
from partitioner.strategies import STRATEGIES


def test_every_strategy_has_a_style_of_its_own():
    assert set(STRATEGIES) <= set(STYLES)
    assert strategy_styles([*STRATEGIES]) == {name: STYLES[name] for name in STRATEGIES}
    for style in STYLES.values():
        MarkerStyle(style.marker)
    for part in ("colour", "marker"):
        assert len({getattr(style, part) for style in STYLES.values()}) == len(STYLES)


def as_seen(colour, eyes):
    """Return a colour in linear light as eyes see it that lack a kind of cone (Viénot, 1999)."""
    red, green, blue = (part**2.2 for part in to_rgb(colour))
    if eyes == "without red":
        red = green = 0.11238 * red + 0.88762 * green
    if eyes == "without green":
        red = green = 0.29275 * red + 0.70725 * green
    return red ** (1 / 2.2), green ** (1 / 2.2), blue ** (1 / 2.2)


@pytest.mark.parametrize("eyes", ["all cones", "without red", "without green"])
def test_strategies_differ_in_colour_or_line_to_all_eyes(eyes):
    for one, other in itertools.combinations(STYLES.values(), 2):
        pairs = zip(as_seen(one.colour, eyes), as_seen(other.colour, eyes), strict=True)
        distance = sum((a - b) ** 2 for a, b in pairs) ** 0.5
        assert distance > 0.13 or one.dashes != other.dashes, (one, other)


def test_a_strategys_style_does_not_hang_on_the_others():
    for name in STYLES:
        assert strategy_styles(["unheard of", name])[name] == STYLES[name]


def test_ones_own_stands_out():
    assert STYLES[OWN].width == max(style.width for style in STYLES.values())
    assert not STYLES[OWN].dashes
