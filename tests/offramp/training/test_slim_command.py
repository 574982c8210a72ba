"""``offramp train --slim`` as a user meets it, up to the bundle of the slimmed model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from offramp.bundle import Bundle, open_bundle
from offramp.capture.command import compile_
from offramp.errors import CaptureError, ConfigError, OfframpError
from offramp.network import Network
from offramp.training.command import train
from offramp.training.trained import Trained, load_trained
from offramp.training.weights import read_weights

USER_MODULE = """
import numpy as np, torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(width, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, width, 1))

    def forward(self, x):
        return (x + self.inner(x)).relu()

def build(width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), Block(width), Block(width), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(width, 3))

def draw(seed, count):
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 3, count)
    images = dice.normal(size=(count, 3, 8, 8)).astype(np.float32)
    images[np.arange(count), labels] += 1
    return images, labels

def training():
    return draw(1, 200)

def held_out():
    return draw(2, 60)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the sub-command on the user's module with an exit after the first block."""
    (tmp_path / "slimmed_by_test.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.delitem(sys.modules, "slimmed_by_test", raising=False)

    def run(words: str, out: str = "my.trained") -> Result:
        given = "slimmed_by_test:build --data slimmed_by_test:training --exit 1 --epochs 2"
        given += f" --held-out slimmed_by_test:held_out --batch 40 {words} -o {out}"
        return CliRunner().invoke(train, given.split())

    return run


def _compile(trained: str) -> Bundle:
    words = f"slimmed_by_test:build --data slimmed_by_test:held_out --trained {trained}"
    result = CliRunner().invoke(compile_, [*words.split(), "-o", f"{trained}.offramp"])
    assert result.exit_code == 0, result.output
    return open_bundle(Path(f"{trained}.offramp"))


def test_a_slimmed_device_part_is_smaller_in_its_bundle_and_answers_as_trained(
    run: Callable[..., Result], exported_once: None
) -> None:
    assert run("--recipe joint", "whole.trained").exit_code == 0
    result = run("--recipe joint --slim 0.25")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "slimmed, epoch 2/2: loss" in said
    assert "slimmed to 0.25 of its inner width until 1" in said
    assert "MMAC of the device part 0.04 0.01" in said
    assert "ms a sample, in PyTorch here" in said
    assert [path.name for path in Path().glob("my.trained*")] == ["my.trained"]

    trained, _ = read_weights(Path("my.trained"), Trained, "train again")
    before, _ = read_weights(Path("whole.trained"), Trained, "train again")
    assert trained.slimmed is not None
    assert trained.recipe == "joint, slimmed"
    assert trained.settings["slim"] == "0.25 until 1"
    assert [(w.path, w.inputs, w.outputs) for w in trained.slimmed.widths] == [
        ("1.inner.0", 8, 8), ("1.inner.1", 8, 8), ("1.inner.3", 8, 8)
    ]  # fmt: skip
    stem, block = 3 * 9 * 8 * 16, 32 * (8 * 9 + 8) * 16
    assert trained.slimmed.macs == (stem + block, stem + block // 4)
    assert trained.slimmed.accuracies == (before.exits[0].accuracy, before.accuracy)
    assert f"whole model, held-out accuracy {before.accuracy:.1%} {trained.accuracy:.1%}" in said

    slimmed = _compile("my.trained")
    until = slimmed.manifest.exits[0].boundary
    parts = [slimmed.arrays(f"segments/{at:02}/weights.safetensors") for at in range(until)]
    stem, block = 8 * (3 * 9 + 1), 8 * (8 * 9 + 1) + 8 * (8 + 1)  # with a bias each
    assert sum(weights.size for part in parts for weights in part.values()) == stem + block
    assert slimmed.manifest.card["training"].startswith("recipe joint, slimmed; epochs 2")

    import slimmed_by_test as users

    _, model = load_trained(Path("my.trained"), users.build())
    images, _ = users.held_out()
    with torch.no_grad():
        expected = [logits.numpy() for logits in model(torch.from_numpy(images))]
    network = Network(slimmed)
    found = network.exit_logits(0, network.run(0, until, [images]))
    np.testing.assert_allclose(found, expected[0], atol=1e-4)
    np.testing.assert_allclose(network.run(0, network.depth, [images])[0], expected[1], atol=1e-4)


def test_the_same_command_gives_the_same_file(run: Callable[..., Result]) -> None:
    files = []
    for _ in range(2):
        assert run("--slim 0.5").exit_code == 0
        files.append(Path("my.trained").read_bytes())
    assert files[0] == files[1]


def test_the_device_part_can_end_before_or_behind_the_exit(run: Callable[..., Result]) -> None:
    assert run("--slim 0.5 --slim-until 2").exit_code == 0
    trained, _ = read_weights(Path("my.trained"), Trained, "train again")
    assert trained.slimmed is not None
    assert {width.path.split(".")[0] for width in trained.slimmed.widths} == {"1", "2"}


BAD: dict[str, tuple[str, type[OfframpError], str]] = {
    "no sub-module": ("--slim 0.5 --slim-until 9", CaptureError, "no sub-module '9' to slim up to"),
    "nothing inside": ("--slim 0.5 --slim-until 0", ConfigError, "nothing up to '0' can be slim"),
    "all stays": ("--slim 0.99", ConfigError, "slimmed to 0.99 of its width"),
    "no number": ("--slim nan", ConfigError, "a share of nan cannot stay; name one between 0 and"),
    "no share": ("--slim-until 1", ConfigError, "say how much with --slim too"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_slimmed_is_known_before_anything_is_trained(
    name: str, run: Callable[..., Result]
) -> None:
    words, kind, said = BAD[name]
    result = run(words)
    assert isinstance(result.exception, kind), result.output
    assert said in str(result.exception)
    assert "epoch" not in result.output
    assert list(Path().glob("my.trained*")) == []


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.5", "half"])
def test_a_share_is_between_nothing_and_all(share: str, run: Callable[..., Result]) -> None:
    result = run(f"--slim={share}")
    assert result.exit_code == 2
    assert "--slim" in result.output


def test_without_the_library_one_is_told_what_to_install(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    result = run("--slim 0.5")
    assert isinstance(result.exception, ConfigError)
    assert "torch_pruning cannot be imported; install with: pip install 'offramp[compile]'" in str(
        result.exception
    )
