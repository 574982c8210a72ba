"""Places for exits: the chooser against first principles, and what is probed."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import CaptureError, ConfigError
from offramp.tensors import TensorSpec
from offramp.training.attach import head_macs
from offramp.training.choice import ExitChoice, read_choice
from offramp.training.placement import Candidate, area, choose_places
from offramp.training.probing import probed_places
from offramp.training.survey import Place, Survey

WHOLE = Candidate("", 100, 0.9)
CANDIDATES = st.lists(
    st.builds(Candidate, st.text("ab", max_size=3), st.integers(1, 99), st.floats(0, 1)),
    min_size=1,
    max_size=9,
)


def _made(*pairs: tuple[int, float]) -> list[Candidate]:
    return [Candidate(str(macs), macs, accuracy) for macs, accuracy in pairs]


def test_accuracy_is_taken_where_it_rises_most_for_its_cost() -> None:
    candidates = _made((5, 0.3), (20, 0.7), (25, 0.72), (60, 0.85), (90, 0.86))
    chosen = choose_places(candidates, WHOLE, 2, 0.1)
    assert [one.macs for one in chosen] == [20, 60]
    assert [one.macs for one in choose_places(candidates, WHOLE, 1, 0.1)] == [20]


def test_what_is_dearer_and_no_better_is_never_chosen() -> None:
    candidates = _made((10, 0.5), (20, 0.5), (30, 0.4), (40, 0.6))
    assert [one.macs for one in choose_places(candidates, WHOLE, 4, 0.1)] == [10, 40]


def test_the_area_is_that_under_the_steps() -> None:
    chosen = _made((20, 0.5), (60, 0.8))
    assert area(chosen, WHOLE, 0.1) == pytest.approx(0.4 * 0.4 + 0.4 * 0.7)
    assert area([], WHOLE, 0.1) == 0


@given(CANDIDATES, st.integers(1, 4))
def test_no_other_set_has_a_larger_area(candidates: list[Candidate], count: int) -> None:
    best = max(
        area(some, WHOLE, 0.2)
        for size in range(1, count + 1)
        for some in combinations(candidates, min(size, len(candidates)))
    )
    if not any(one.accuracy > 0.2 for one in candidates):
        with pytest.raises(ConfigError, match=r"better than a guess \(20.0%\)"):
            choose_places(candidates, WHOLE, count, 0.2)
        return
    chosen = choose_places(candidates, WHOLE, count, 0.2)
    assert 1 <= len(chosen) <= count
    assert area(chosen, WHOLE, 0.2) == pytest.approx(best)
    assert list(chosen) == sorted(chosen, key=lambda one: one.macs)


def test_a_block_stands_for_its_last_layer_and_late_places_are_left_out() -> None:
    def place(path: str, macs: int, shape: tuple[int, ...] = (4, 8, 8)) -> Place:
        return Place(TensorSpec(path, "float32", shape), macs)

    seen = [
        place("pre", 0), place("a.conv", 10), place("a.relu", 10), place("a", 10), place("b", 50),
        place("odd", 60, (1, 2, 3, 4)), place("late", 95), place("answer", 100),
    ]  # fmt: skip
    assert [p.path for p in probed_places(Survey(tuple(seen), 3, 100))] == ["a", "b"]


def test_the_outer_levels_of_a_model_are_probed_first() -> None:
    def paths(*names: str) -> list[str]:
        tensors = [TensorSpec(name, "float32", (4,)) for name in names]
        places = tuple(Place(tensor, at) for at, tensor in enumerate(tensors, 1))
        return [place.path for place in probed_places(Survey(places, 3, 100))]

    blocks = [f"b.{at}" for at in range(1, 60)]
    found = paths(*blocks, "outer")
    assert len(found) == len(set(found)) == 16
    assert "outer" in found
    assert max(int(path[2:]) for path in found[:-1]) > 50  # spread over the model's depth
    stages = [f"stage{at}" for at in range(6)]
    assert paths(*stages, *blocks) == stages
    assert paths(*stages[:5], "b.1", "b.1.conv") == [*stages[:5], "b.1"]


def test_exits_are_named_or_found() -> None:
    assert read_choice(["a", "b"], []) == ExitChoice({"a": None, "b": None})
    assert read_choice(["a", "b"], ["b=global", "local"]).kinds == {"a": "local", "b": "global"}
    assert read_choice(["auto"], []) == ExitChoice({}, 2)
    assert read_choice(["auto:3"], ["local"]) == ExitChoice({}, 3, "local")
    assert read_choice(["automaton"], []).kinds == {"automaton": None}
    for exits, heads in ((["auto", "a"], []), (["auto:0"], []), (["auto:7"], []), (["auto"], ["a=x"])):  # fmt: skip  # noqa: E501
        with pytest.raises(ConfigError, match="finds 1 to 6 places"):
            read_choice(exits, heads)


def test_a_head_costs_what_it_multiplies() -> None:
    image, vector = TensorSpec("a", "float32", (8, 4, 4)), TensorSpec("a", "float32", (8,))
    assert head_macs("linear", vector, 3) == 8 * 3
    plain = head_macs("linear", image, 3)
    assert plain >= 8 * 3
    assert head_macs("local", image, 3) > plain + 4 * 4 * 8 * 9  # a 3 x 3 convolution and more
    with pytest.raises(CaptureError, match="does not read"):
        head_macs("sequence", image, 3)
