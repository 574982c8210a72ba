"""The proof, against networks that are wrong in one way each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from offramp.capture.proof import prove
from offramp.errors import CaptureError

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


class Twice:
    """A network of two segments that each double; ``wrong`` changes what a segment makes."""

    depth, backend = 2, "fake"

    def __init__(self, wrong: Any = lambda at, made: made) -> None:
        self._wrong = wrong

    def run_segment(self, at: int, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(self._wrong(at, [2 * tensor for tensor in tensors]))

    def run(self, start: int, stop: int, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        for at in range(start, stop):
            tensors = self.run_segment(at, tensors)
        return list(tensors)


def _prove(network: Any, *inputs: np.ndarray) -> list[float]:
    expected = [4 * array for array in inputs]
    return [proof.max_relative_difference for proof in prove(network, inputs, expected)]


def test_a_right_network_is_proven_at_every_cut() -> None:
    assert _prove(Twice(), ROWS, -ROWS) == [0.0, 0.0, 0.0]


def _second_is_no_number(at: int, made: list[np.ndarray]) -> list[np.ndarray]:
    return [made[0], np.full_like(made[1], np.nan)]


WRONG = {
    "another output is no number": (0, _second_is_no_number),
    "one sample alone": (1, lambda at, made: [m * (len(m) > 1) for m in made]),
    "a batch": (0, lambda at, made: [m * (len(m) == 1) for m in made]),
    "the batch is lost": (1, lambda at, made: [m[0] if len(m) == 1 else m for m in made]),
    "another dtype": (0, lambda at, made: [m.astype(np.float64) for m in made]),
    "the last segment": (0, lambda at, made: [m * (1 + at * 0.01) for m in made]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_network_is_refused_at_the_first_cut_that_shows_it(name: str) -> None:
    cut, wrong = WRONG[name]
    with pytest.raises(CaptureError, match=f"cut {cut} on fake differs"):
        _prove(Twice(wrong), ROWS, -ROWS)
