"""Later exits: a sample leaves at the first that is sure, whatever any other exit says."""

from __future__ import annotations

import numpy as np
import pytest

from offramp.bundle import Boundary, ExitSpec, LaterExits, Manifest, SegmentSpec
from offramp.exits.later import LaterAnswers, exits_to_run, margin_of, tail_macs
from offramp.tensors import TensorSpec


def _manifest(**fields: object) -> Manifest:
    """Four segments of 100, 200, 400 and 800 multiply-adds, and an exit behind each but the last.

    The third exit goes on from the code of the first.
    """
    tensors = [TensorSpec(name, "float32", (2,)) for name in "abcde"]
    given = {
        "name": "later",
        "boundaries": tuple(
            Boundary(tensors=(tensor,), levels={"raw": ({},)}) for tensor in tensors
        ),
        "segments": tuple(
            SegmentSpec(folder=f"s{at}", macs=100 << at, reads=("abcd"[at],), makes=("bcde"[at],))
            for at in range(4)
        ),
        "exits": tuple(
            ExitSpec(
                name=f"exit{at}", boundary=at + 1, tensor="bcd"[at], folder=f"e{at}", macs=1 + at,
                follows=0 if at == 2 else None,
            )
            for at in range(3)
        ),
        "files": {},
        **fields,
    }  # fmt: skip
    return Manifest.model_validate(given)


def _with_later(cut: int, thresholds: tuple[float, ...], level: str = "raw") -> Manifest:
    plain = _manifest()
    later = {level: LaterExits(thresholds=thresholds, worse=0, better=0)}
    boundaries = list(plain.boundaries)
    boundaries[cut] = boundaries[cut].model_copy(update={"later": later})
    return _manifest(boundaries=tuple(boundaries))


def test_exits_behind_a_cut_answer_if_nothing_before_it_is_needed() -> None:
    manifest = _manifest()
    assert [manifest.later_exits(cut) for cut in range(5)] == [(0, 1, 2), (1,), (), (), ()]
    assert _manifest(answer="tensor").later_exits(0) == ()


def test_thresholds_are_those_of_a_cut_and_level() -> None:
    manifest = _with_later(0, (2.0, 0.5, 0.75))
    assert manifest.later_at(0, "raw") == {1: 0.5, 2: 0.75}
    assert manifest.later_at(0, "lossless") == manifest.later_at(1, "raw") == {}
    assert manifest.later_at(0, None) == {}


@pytest.mark.parametrize(
    ("cut", "thresholds", "level", "message"),
    [
        (0, (0.5, 0.5), "raw", "cut 0 has other later exits than the model"),
        (1, (0.5, 0.5), "raw", "a later exit of cut 1 cannot answer on the server"),
        (0, (0.5, 0.5, 0.5), "webp50", "cut 0 has later exits at level 'webp50' alone"),
        (0, (0.5, 0.5, -0.1), "raw", "greater than or equal to 0"),
        (3, (), "raw", "at least 1 item"),
    ],
)
def test_later_exits_that_cannot_be_are_refused(
    cut: int, thresholds: tuple[float, ...], level: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _with_later(cut, thresholds, level)


def test_what_an_open_exit_goes_on_from_runs_too() -> None:
    manifest = _manifest()
    assert exits_to_run(manifest, ()) == ()
    assert exits_to_run(manifest, (2,)) == (0, 2)
    assert exits_to_run(manifest, {1: 0.5}) == (1,)


def test_a_tail_costs_what_runs_up_to_where_it_ends() -> None:
    manifest = _manifest()
    assert tail_macs(manifest, 0, ()) == {0: 100, 1: 300, 2: 700, 3: 1500}
    assert tail_macs(manifest, 0, (2,)) == {0: 101, 1: 301, 2: 704, 3: 1504}
    assert tail_macs(manifest, 1, (1,)) == {1: 202, 2: 602, 3: 1402}


def test_the_margin_is_the_lead_at_the_exits_temperature() -> None:
    spec = _manifest().exits[0].model_copy(update={"temperature": 2.0})
    logits = np.log(np.array([[0.64, 0.16], [0.5, 0.5]], np.float32))
    np.testing.assert_allclose(margin_of(spec, logits), [1 / 3, 0], atol=1e-6)
    assert not margin_of(spec, np.array([[np.nan, 1.0]], np.float32)) >= 0


def test_a_sample_leaves_at_the_first_exit_that_is_sure() -> None:
    margins = np.array([[0.9, 0.2, 0.5, np.nan], [0.9, 0.6, 0.9, 0.1]])
    classes = np.array([[0, 0, 0, 0], [1, 1, 1, 1]])
    answers = LaterAnswers((4, 5), margins, classes, np.array([2, 2, 2, 2]))
    both, second = ({4: 0.5, 5: 0.6}, {5: 0.6})
    assert answers.leaves(both).tolist() == [0, 1, 0, 2]
    assert answers.leaves(second).tolist() == [1, 1, 1, 2]
    assert answers.answers(answers.leaves(both), np.array([3, 3, 3, 3])).tolist() == [0, 1, 0, 3]
    none = LaterAnswers.none(np.array([2, 1]))
    assert none.answers(none.leaves({4: 0.0}), none.end).tolist() == [2, 1]
