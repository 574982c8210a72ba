"""The networks of the examples at random weights: what they take, give, and leave out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

import torch
from torch import Tensor, nn

from examples import training
from examples.banking77.model import IntentNet
from examples.cifar10.model import CifarNet
from examples.encoder import EncoderLayer
from examples.fashion_mnist.model import FashionNet
from examples.spoken_digits.model import HOP, WINDOW, LogMel, SpeechNet
from offramp.capture.export import export
from offramp.capture.graph import read_program
from offramp.capture.operations import Operations
from offramp.errors import ConfigError

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int, tuple[str, ...]]] = {
    "banking77": (IntentNet, (32,), 1600, 77, ("layer1", "layer2", "layer4")),
    "cifar10": (CifarNet, (32, 32, 3), 256, 10, ("stage1", "stage2", "stage3.0")),
    "fashion_mnist": (FashionNet, (28, 28, 1), 256, 10, ("stage1", "stage2")),
    "spoken_digits": (SpeechNet, (8000,), 3000, 10, ("stage", "layer1", "layer3")),
}
DTYPES = {"banking77": torch.int32, "spoken_digits": torch.int16}


@pytest.fixture(params=NETWORKS)
def task(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def network(task: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[task][0]().eval()


def inputs(task: str, count: int) -> Tensor:
    _, shape, values, *_ = NETWORKS[task]
    random = torch.Generator().manual_seed(1)
    drawn = torch.randint(0, values, (count, *shape), generator=random)
    return drawn.to(DTYPES.get(task, torch.uint8))


@torch.no_grad()
def test_each_sample_is_answered_alone(task: str) -> None:
    model, batch = network(task), inputs(task, 3)
    logits = model(batch)
    assert logits.shape == (3, NETWORKS[task][3])
    one_by_one = torch.cat([model(sample) for sample in batch.split(1)])
    torch.testing.assert_close(one_by_one, logits, rtol=1e-4, atol=1e-5)
    assert (logits[0] - logits[1]).abs().max() > 1e-4


@pytest.mark.models
def test_the_captured_graph_is_the_network_and_has_its_exits_places(task: str) -> None:
    model, batch = network(task), inputs(task, 3)
    graph = read_program(export(model, [batch[:2]]))
    torch.testing.assert_close(graph.module(batch)[0], model(batch), rtol=1e-4, atol=1e-5)
    operations = Operations(graph)
    places = [operations.end_of(path) for path in NETWORKS[task][4]]
    assert places == sorted(set(places))
    assert places[-1] < len(operations.nodes) - 1


@torch.no_grad()
def test_padding_counts_for_nothing() -> None:
    model, pieces = network("banking77"), inputs("banking77", 2) + 2
    pieces = pieces.clamp(max=1599)
    pieces[0, 5:] = 0
    before = model(pieces)
    model.embed.weight[0] += 100
    torch.testing.assert_close(model(pieces), before)
    features = []
    model.layer3.register_forward_hook(lambda *call: features.append(call[2]))
    model(pieces)
    assert (features[0][0, 5:] == 0).all()
    assert (features[0][0, :5] != 0).all()


@torch.no_grad()
def test_an_empty_text_has_an_answer_too() -> None:
    assert network("banking77")(torch.zeros(1, 32, dtype=torch.int32)).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_torchs(masked: bool) -> None:
    torch.manual_seed(0)
    layer, x = EncoderLayer(12, 3, 0.0), torch.randn(2, 5, 12)
    present = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    query, key, value = (
        part.unflatten(2, (3, 4)).transpose(1, 2) for part in layer.attend(x).chunk(3, 2)
    )
    mask = present[:, None, None, :] if masked else None
    mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    expected = layer.project(mixed.transpose(1, 2).reshape(2, 5, 12))
    torch.testing.assert_close(layer._attention(x, present if masked else None), expected)


def test_band_energies_are_those_of_the_fourier_transform() -> None:
    random = np.random.default_rng(0)
    samples = random.integers(-20000, 20000, (2, 1000)).astype(np.int16)
    frames = LogMel()
    starts = range(0, 1000 - WINDOW + 1, HOP)
    cut = np.stack([samples[:, at : at + WINDOW] for at in starts], 2) / 32768
    spectrum = np.abs(np.fft.rfft(cut * np.hanning(WINDOW)[:, None], axis=1)) ** 2
    expected = np.log(frames.bands.numpy() @ spectrum + 1e-4)
    found = frames(torch.from_numpy(samples)).squeeze(1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frequency_hz", [300, 1000, 3000])
def test_a_tone_is_loudest_in_the_band_that_it_is_in(frequency_hz: int) -> None:
    tone = 8000 * np.sin(2 * np.pi * frequency_hz * np.arange(8000) / 8000)
    bands = LogMel()(torch.from_numpy(tone.astype(np.int16))[None])[0, 0]
    assert bands.shape == (40, 98)
    mel = 2595 * np.log10(1 + np.array([frequency_hz, 4000]) / 700)
    assert (bands.argmax(0) + 1).float().mean().item() == pytest.approx(41 * mel[0] / mel[1], abs=1)


def test_weights_come_back(task: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model, path = network(task), tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    torch.manual_seed(1)
    again = training.load_weights(NETWORKS[task][0](), path).eval()
    torch.testing.assert_close(again(inputs(task, 2)), model(inputs(task, 2)))


def test_without_weights_it_is_said_how_to_make_them(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"examples.{task}.model")
    monkeypatch.setattr(module, "WEIGHTS", tmp_path / task / "weights.safetensors")
    with pytest.raises(ConfigError, match=f"there is no .+; run: python -m examples.{task}.train"):
        module.trained()


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"fc.weight": torch.zeros(2)}, path)
    with pytest.raises(ConfigError, match=r"cannot be used \(.+Missing key"):
        training.load_weights(CifarNet(), path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ConfigError, match=r"cannot be used \(.+\); run: python -m examples\."):
        training.load_weights(CifarNet(), path)
