"""The whole model: its answers to a sample must not depend on what else is in the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.capture.export import export
from offramp.capture.graph import read_program
from offramp.capture.whole import WholeModel
from offramp.errors import CaptureError
from offramp.samples import Samples


class Calls(nn.Module):
    """A model of one function over a linear layer."""

    def __init__(self, function: Callable[[Tensor], Tensor | dict[str, Tensor]]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.function = nn.Linear(4, 4), function

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        return self.function(self.inner(x))


class Sequence(nn.Module):
    """Torch's own layer as it is by default: the batch is its second dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(4, 2, 8)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.inner(x)
        return inner.mean(1)


def _whole(model: nn.Module, x: np.ndarray) -> WholeModel:
    return WholeModel(model.eval(), read_program(export(model, [torch.from_numpy(x)])))


def _inputs(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def test_answers_are_those_to_one_sample_at_a_time() -> None:
    x = _inputs(5, 4)
    model = Calls(torch.relu)
    (found,) = _whole(model, x).answers(Samples((x,)))
    with torch.no_grad():
        expected = torch.cat([torch.relu(model.inner(row)) for row in torch.from_numpy(x)[:, None]])
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize(
    "model",
    [
        Calls(lambda h: h - h.mean(0, keepdim=True)),
        Calls(lambda h: torch.softmax(h, 0)),
        Calls(lambda h: h * (h == h.max(0).values)),
        Sequence(),
    ],
    ids=["mean", "softmax", "maximum", "sequence first"],
)
def test_what_mixes_the_batch_is_refused(model: nn.Module, count: int) -> None:
    x = _inputs(count, 3, 4) if isinstance(model, Sequence) else _inputs(count, 4)
    with pytest.raises(CaptureError, match="depend on what else is in the batch"):
        _whole(model, x).answers(Samples((x,)))


def test_a_batch_of_one_keeps_its_dimension() -> None:
    x = _inputs(3, 4)
    with pytest.raises(CaptureError, match=r"has shape \(4,\) for a batch of one"):
        _whole(Calls(lambda h: h.squeeze()), x).answers(Samples((x,)))


def test_what_is_no_number_is_named() -> None:
    x = _inputs(3, 4)
    model = Calls(lambda h: {"logits": h, "aux": torch.log(-h.abs())})
    with pytest.raises(CaptureError, match=r"output 'aux' is not a number \(NaN\) for sample 0"):
        _whole(model, x).answers(Samples((x,)))


def test_a_model_that_fails_is_one_sentence() -> None:
    x = _inputs(3, 4)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False))
    with pytest.raises(CaptureError, match="fails on a batch of 1: Expected more than 1 value"):
        _whole(model, x).answers(Samples((x,)))


def test_inputs_may_come_as_a_star() -> None:
    class Star(nn.Module):
        def forward(self, *parts: Tensor, offset: Tensor) -> Tensor:
            return parts[0] - parts[1] + offset

    x = _inputs(3, 4)
    tensors = [torch.from_numpy(x), torch.from_numpy(x + 1)]
    program = export(Star(), tensors, {"offset": torch.from_numpy(2 * x)})
    whole = WholeModel(Star(), read_program(program))
    (found,) = whole.answers(Samples((x, x + 1, 2 * x), keywords=("offset",)))
    np.testing.assert_allclose(found, 2 * x - 1, atol=1e-6)
