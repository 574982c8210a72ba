import pytest

from device.stretch import Stretch


def test_it_follows_the_ratio_of_observed_to_expected():
    stretch = Stretch(weight=0.5)
    seen = []
    for observed_s in (0.02, 0.02, 0.01):
        stretch.observe(observed_s, 0.01)
        seen.append(stretch.value)
    assert seen == pytest.approx([1.5, 1.75, 1.375])


def test_nothing_is_learned_from_nothing_and_outliers_are_bounded():
    stretch = Stretch(weight=1.0, limit=20)
    stretch.observe(1.0, 0.0)
    assert stretch.value == 1.0
    stretch.observe(1e9, 1e-3)
    assert stretch.value == 20
    stretch.observe(0.0, 1.0)
    assert stretch.value == pytest.approx(1 / 20)
