import pytest

from device.stretch import Stretch


def test_it_follows_the_ratio_of_observed_to_expected():
    stretch = Stretch(1e9, weight=0.5)
    seen = []
    for at, observed_s in enumerate((0.02, 0.02, 0.01)):
        stretch.observe(at, observed_s, 0.01)
        seen.append(stretch.at(at))
    assert seen == pytest.approx([1.5, 1.75, 1.375])


def test_nothing_is_learned_from_nothing_and_outliers_are_bounded():
    stretch = Stretch(10.0, weight=1.0, limit=20)
    stretch.observe(0.0, 1.0, 0.0)
    assert stretch.at(0.0) == 1.0
    stretch.observe(0.0, 1e9, 1e-3)
    assert stretch.at(0.0) == 20
    stretch.observe(0.0, 0.0, 1.0)
    assert stretch.at(0.0) == pytest.approx(1 / 20)


def test_what_is_not_seen_again_is_forgotten():
    stretch = Stretch(10.0, weight=1.0)
    stretch.observe(0.0, 9.0, 1.0)
    assert stretch.at(-5.0) == stretch.at(0.0) == 9.0
    assert stretch.at(10.0) == pytest.approx(1 + 8 * 0.368, rel=0.01)
    assert stretch.at(1e6) == 1.0
