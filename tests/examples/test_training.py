"""Training of the examples: by seed, as the command line says, and what varies the samples."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnx")

import torch
from safetensors.torch import load_file
from torch import nn

from examples import training
from examples.banking77.train import vary as vary_text
from examples.cifar10.train import vary as vary_image
from examples.fashion_mnist.train import vary as vary_clothes
from examples.spoken_digits.train import vary as vary_speech

RECIPE = training.Recipe(epochs=9, rate=0.1, batch=16, bfloat16=False)


def samples(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of two classes on both sides of a line."""
    points = np.random.default_rng(seed).normal(size=(50, 2)).astype(np.float32)
    return points, (points.sum(1) > 0).astype(np.int64)


DATA = SimpleNamespace(
    train=lambda: samples(0), held_out=lambda: samples(1), test=lambda: samples(2)
)


def run(path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> dict[str, torch.Tensor]:
    monkeypatch.setattr(sys, "argv", ["train", *options])
    training.train(lambda: nn.Linear(2, 2), DATA, RECIPE, path)
    return load_file(path)


def test_it_learns_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "w", monkeypatch)
    *epochs, last = capsys.readouterr().out.splitlines()
    assert len(epochs) == 9
    assert epochs[-1].startswith("epoch 9/9  loss ")
    assert float(last.removeprefix("test accuracy ")) >= 0.9


def test_the_seed_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, same, other = (
        run(tmp_path / "w", monkeypatch, "--epochs", "2", "--seed", seed)["weight"]
        for seed in ("1", "1", "2")
    )
    assert (one == same).all()
    assert (one != other).any()


def test_accuracy_is_the_share_of_right_answers() -> None:
    model = nn.Linear(2, 2)
    nn.init.eye_(model.weight)
    nn.init.zeros_(model.bias)
    points = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    assert training.accuracy(model, (points, np.array([0, 1, 1, 0]))) == 0.75


@pytest.mark.parametrize("vary", [vary_image, vary_clothes])
def test_images_are_mirrored_and_moved_but_not_mixed(vary: object) -> None:
    """Column c of image n holds n + c / 100 of the white, so its neighbours are c - 1 and c + 1."""
    images = (torch.arange(28) + 100).to(torch.uint8).expand(64, 28, 28).unsqueeze(3)
    varied = vary(images, torch.Generator().manual_seed(0))  # type: ignore[operator]
    assert (varied.shape, varied.dtype) == (images.shape, torch.uint8)
    steps = varied[:, 14, 5:24, 0].int().diff(dim=1)
    assert set(steps.flatten().tolist()) == {-1, 1}
    assert (steps.min(1).values == steps.max(1).values).all()


def test_padding_stays_padding() -> None:
    pieces = torch.full((50, 20), 7)
    pieces[:, 12:] = 0
    varied = vary_text(pieces, torch.Generator().manual_seed(0))
    assert set(varied[:, :12].flatten().tolist()) == {1, 7}
    assert 0.05 < (varied[:, :12] == 1).float().mean() < 0.15
    assert (varied[:, 12:] == 0).all()


def test_speech_comes_later_at_another_loudness_and_is_not_wrapped() -> None:
    clips = torch.zeros(40, 8000, dtype=torch.int16)
    clips[:, 100:200] = 30000
    varied = vary_speech(clips, torch.Generator().manual_seed(0))
    assert (varied.shape, varied.dtype) == (clips.shape, torch.int16)
    loud = varied > 12000
    starts = loud.float().argmax(1)
    assert starts.min() >= 100
    assert 1000 < starts.max() < 1700
    assert (loud.sum(1) == 100).all()
    assert (varied[loud] == 32767).any()
    assert varied.min() > -8000
