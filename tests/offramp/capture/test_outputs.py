"""What a model takes and returns besides tensors of one row a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from offramp.capture.export import export
from offramp.capture.graph import CapturedGraph, read_program
from offramp.errors import CaptureError
from tests.offramp.capture.conftest import cut_model

X = torch.rand(2, 6)


class Cache:
    """An object that the exporter knows nothing of."""

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys


@dataclass
class Answer:
    hidden: Tensor
    scores: dict[str, Tensor]
    cache: Cache


class Returns(nn.Module):
    """A small network that returns what ``shape`` makes of its hidden values and scores."""

    def __init__(self, shape: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.scores = nn.Linear(6, 4), nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros(1))
        self.shape = shape

    def forward(self, x: Tensor) -> Any:
        hidden = torch.relu(self.hidden(x))
        return self.shape(hidden, self.scores(hidden))


def _read(shape: Callable[[Tensor, Tensor], Any]) -> tuple[CapturedGraph, Any]:
    model = Returns(shape).eval()
    with torch.no_grad():
        return read_program(export(model, [X])), model(X)


def test_a_dataclass_is_read_and_an_unknown_object_left_out() -> None:
    graph, returned = _read(lambda h, s: Answer(h[:, :, None], {"logits": s}, Cache(h)))
    assert [node.name for node in graph.outputs] == ["scores_logits", "hidden"]
    torch.testing.assert_close(graph.flatten(returned)[0], returned.scores["logits"])
    torch.testing.assert_close(graph.flatten(returned)[1], returned.hidden)
    assert graph.left_out == ()


def test_outputs_that_are_not_one_row_a_sample_are_left_out_and_named() -> None:
    graph, returned = _read(lambda h, s: {"loss": s.sum(), "logits": s, "alike": h @ h.T, "t": h.T})
    assert [node.name for node in graph.outputs] == ["logits"]
    torch.testing.assert_close(graph.flatten(returned)[0], returned["logits"])
    assert [reason.split(",")[0] for reason in graph.left_out] == [
        "output 'loss'", "output 'alike'", "output 't'"
    ]  # fmt: skip
    found = cut_model(Returns(lambda h, s: (s.sum(), s)), [X])
    assert "aten.sum" not in str([segment.module.graph for segment in found.segments])


def test_an_output_of_a_dtype_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(
        CaptureError, match=r"output 'output' is bfloat16 at .*test_outputs\.py:\d+"
    ):
        _read(lambda h, s: s.bfloat16())


def test_an_output_that_is_an_input_or_a_weight() -> None:
    class Echo(Returns):
        def forward(self, x: Tensor) -> Any:
            return x, super().forward(x), self.scores.weight

    model = Echo(lambda h, s: s)
    found = cut_model(model, [X])
    assert [spec.name for spec in found.boundaries[-1]] == ["x", "output_1"]
    values = {"x": X}
    for segment in found.segments:
        made = segment.module(*(values[spec.name] for spec in segment.reads))
        values.update(zip((spec.name for spec in segment.makes), made, strict=True))
    torch.testing.assert_close(values["output_1"], model(X)[1])


def test_state_that_an_answer_depends_on_is_refused_and_other_state_is_not() -> None:
    class Counts(Returns):
        def forward(self, x: Tensor) -> Any:
            self.seen += 1
            return super().forward(x)

    class Remembers(Counts):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x) + self.seen

    cut_model(Counts(lambda h, s: s), [X])
    with pytest.raises(CaptureError, match="keeps 'seen' from one call to the next"):
        cut_model(Remembers(lambda h, s: s), [X])


def test_an_input_that_nothing_reads_is_an_input() -> None:
    class Ignores(Returns):
        def forward(self, x: Tensor, kind: Tensor) -> Any:
            return super().forward(x)

    found = cut_model(Ignores(lambda h, s: s), [X, torch.zeros(2, 6, dtype=torch.int64)])
    assert [spec.name for spec in found.boundaries[0]] == ["x", "kind"]
    assert all("kind" not in [s.name for s in boundary] for boundary in found.boundaries[1:])
