"""What a user's data function may return, and what is said of anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from offramp.errors import CaptureError, InputError
from offramp.training.attach import attach_exits
from offramp.training.samples import Batch, read_samples
from offramp.training.survey import survey

X, Y = np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6) % 2


class _Items(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: int) -> Any:
        return self.items[at]


def _rows(inputs: Any) -> list[Any]:
    return [inputs(at) for at in range(6)]


READ = {
    "arrays": (X, Y),
    "tensors": TensorDataset(torch.tensor(X), torch.tensor(Y)),
    "numbers": _Items(_rows(lambda at: (torch.tensor(X[at]), int(Y[at])))),
    "arrays in a dataset": _Items(_rows(lambda at: (X[at], Y[at]))),
    "a tuple": _Items(_rows(lambda at: ((torch.tensor(X[at]),), int(Y[at])))),
}


@pytest.mark.parametrize("name", READ)
def test_rows_are_read_in_any_order(name: str) -> None:
    samples = read_samples(READ[name], labelled=True)
    batch = samples.batch([4, 1])
    assert len(samples) == 6
    assert batch.labels is not None
    assert batch.labels.dtype is torch.int64
    assert batch.labels.tolist() == [0, 1]
    assert torch.equal(batch.positional[0], torch.tensor(X[[4, 1]]))


def test_inputs_by_name_are_given_by_name() -> None:
    named = {"x": X, "mask": X > 3}
    items = _rows(lambda at: ({name: torch.tensor(a[at]) for name, a in named.items()}, int(Y[at])))
    for value in ((named, Y), _Items(items)):
        batch = read_samples(value, labelled=True).batch([0, 5])
        assert batch.positional == ()
        assert batch.keyword["mask"].tolist() == (X[[0, 5]] > 3).tolist()


@pytest.mark.parametrize(
    "value",
    [X, (X,), (X, Y), _Items(_rows(lambda at: torch.tensor(X[at]))), READ["tensors"]],
    ids=["array", "by place", "labelled", "dataset", "labelled dataset"],
)
def test_inputs_alone_are_enough_without_labels(value: Any) -> None:
    batch = read_samples(value, labelled=False).batch([2])
    assert len(batch.positional) == 1
    assert torch.equal(batch.positional[0], torch.tensor(X[[2]]))


class _Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(torch.zeros(2), 0)])


BAD: dict[str, tuple[Any, str]] = {
    "no pair": (X, "returns a pair"),
    "empty": ((X[:0], Y[:0]), "there are 0 samples"),
    "empty dataset": (_Items([]), "there are 0 samples"),
    "stream": (_Stream(), "_Stream has no length"),
    "unlabelled items": (_Items([torch.zeros(2)] * 2), "no pairs"),
    "fractions": (_Items([(torch.zeros(2), torch.tensor(0.5))] * 2), "labels must be integers"),
    "texts": (_Items([("a", 1)] * 2), "an input is a"),
    "ragged": (_Items([(torch.zeros(1), 0), (torch.zeros(2), 0)]), "samples 0 to 1 of _Items"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_data_is_one_sentence(name: str) -> None:
    value, said = BAD[name]
    with pytest.raises(InputError, match=said) as caught:
        read_samples(value, labelled=True).batch([0, 1])
    assert "\n" not in str(caught.value)


class Odd(nn.Module):
    """Sub-modules that no exit can read, beside two that one can."""

    def __init__(self, scores: bool = True) -> None:
        super().__init__()
        self.twice, self.once = nn.Linear(2, 2), nn.Linear(2, 4)
        self.recurrent = nn.LSTM(4, 4, batch_first=True)
        self.unused, self.answer = nn.Linear(2, 2), nn.Linear(4, 3)
        self.scores = scores

    def forward(self, x: Tensor) -> Tensor:
        x = self.once(self.twice(self.twice(x)))
        answer: Tensor = self.answer(self.recurrent(x[:, None])[0][:, 0])
        return answer if self.scores else answer[:, :, None]


BATCH = Batch((torch.zeros(2, 2),), {}, torch.tensor([0, 1]))


def test_a_survey_finds_what_an_exit_can_read_and_what_it_costs() -> None:
    found = survey(Odd(), BATCH)
    assert [place.path for place in found.places] == ["once", "answer"]
    assert found.classes == 3
    assert found.place("once").tensor.shape == (4,)
    assert found.place("once").macs == 2 * 4 + 8
    assert found.macs >= found.place("answer").macs


@pytest.mark.parametrize("path", ["twice", "recurrent", "unused"])
def test_a_place_that_cannot_be_read_is_one_sentence(path: str) -> None:
    with pytest.raises(CaptureError, match=f"cannot read sub-module '{path}'"):
        attach_exits(Odd(), survey(Odd(), BATCH, (path,)), {path: "linear"}, seed=0)


def test_models_that_cannot_be_given_exits_are_one_sentence() -> None:
    with pytest.raises(CaptureError, match=r"no sub-module 'x' .*the model has: twice, once"):
        survey(Odd(), BATCH, ("x",))
    with pytest.raises(CaptureError, match="returns no row of scores"):
        survey(Odd(scores=False), BATCH)
    with pytest.raises(CaptureError, match="Odd fails on the samples: RuntimeError"):
        survey(Odd(), Batch((torch.zeros(2, 5),), {}, None))
    model, found = Odd(), survey(Odd(), BATCH)
    with pytest.raises(CaptureError, match="exit head 'local' does not read 'once'"):
        attach_exits(model, found, {"once": "local"}, seed=0)


def test_exits_stand_in_the_order_in_which_the_model_reaches_them() -> None:
    model = attach_exits(Odd(), survey(Odd(), BATCH), {"answer": "linear", "once": "linear"}, 0)
    assert model.paths == ("once", "answer")
    again = attach_exits(Odd(), survey(Odd(), BATCH), {"once": "linear", "answer": "linear"}, 0)
    for one, other in zip(model.heads.parameters(), again.heads.parameters(), strict=True):
        assert torch.equal(one, other)
