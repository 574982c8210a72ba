"""Bottlenecks are trained to change no answer, for few bits, and the model stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp import codecs
from offramp.codecs.effect import square_error
from offramp.codecs.latent import Latent
from offramp.errors import CaptureError, ConfigError, InputError, TrainingError
from offramp.samples import Samples
from offramp.tensors import TensorSpec
from offramp.training.bottleneck.cut_model import cut_after
from offramp.training.bottleneck.density import Density
from offramp.training.bottleneck.teaching import COARSEST_STEP, FINEST_STEP
from offramp.training.bottleneck.training import BottleneckSetup, train_bottleneck
from offramp.training.options import Progress, TrainingOptions
from offramp.training.samples import ArraySamples, Batch
from offramp.training.setup import TrainingSetup

Make = Callable[..., BottleneckSetup]


@pytest.fixture
def make(make_setup: Callable[..., TrainingSetup]) -> Make:
    """Makes the same training each time, behind the first block of a small network."""

    def make(path: str = "first", **options: object) -> BottleneckSetup:
        given = make_setup(**{"epochs": 6, "rate": 5e-3, **options})
        return BottleneckSetup(
            given.model.model, path, given.training, given.held_out, given.options
        )

    return make


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
def test_the_shares_of_all_steps_add_up(step: float, trained: bool) -> None:
    torch.manual_seed(0)
    density = Density(1)
    for parameter in density.parameters() if trained else ():
        nn.init.normal_(parameter)
    codes = torch.arange(-400, 401) * step
    with torch.no_grad():
        bits = density.bits(codes.reshape(-1, 1, 1, 1), torch.full(codes.shape, step))
    assert float(torch.exp2(-bits).sum()) == pytest.approx(1, abs=1e-3)
    weight, mean, scale = (p[0].detach() for p in (density.weight, density.mean, density.scale))
    for at in (380, 400, 403):
        ends = [
            torch.sigmoid((codes[at] + side * step / 2 - mean) / scale.exp()) for side in (1, -1)
        ]
        share = float((weight.softmax(0) * (ends[0] - ends[1])).sum())
        assert float(torch.exp2(-bits[at])) == pytest.approx(share, rel=1e-3, abs=1e-6)


def test_far_values_cost_many_bits_and_still_teach() -> None:
    density = Density(1)
    latents = torch.tensor([[[[0.0]]], [[[8.0]]], [[[60.0]]]], requires_grad=True)
    bits = density.bits(latents, torch.ones(3))
    bits.sum().backward()  # type: ignore[no-untyped-call]
    assert bits[0] < bits[1] < bits[2]
    assert latents.grad is not None
    assert latents.grad.isfinite().all()
    assert latents.grad[1] > 0


def test_answers_stay_and_bits_fall_with_coarser_levels(make: Make) -> None:
    setup = make(epochs=30)
    before = weights(setup.model)
    pair, levels = train_bottleneck(setup)
    assert [one.level for one in levels] == [f"learned{at}" for at in range(1, 6)]
    sizes = [one.bytes for one in levels]
    assert sizes == sorted(sizes, reverse=True)
    assert levels[0].same_share > 0.8
    assert sizes[0] < 4 * 4 * 4  # a byte for each element
    assert not pair.training
    assert all(torch.equal(t, before[n]) for n, t in setup.model.state_dict().items())


def test_what_is_said_of_bytes_is_about_what_a_codec_takes(make: Make) -> None:
    setup = make(epochs=30)
    pair, levels = train_bottleneck(setup)
    assert setup.held_out is not None
    batch = setup.held_out.batch(range(60))
    with torch.no_grad():
        latents = pair.encoder(setup.cut.reach(batch)[setup.cut.tensor.name]).numpy()
    for level in levels[:3]:
        codec = codecs.get(level.level).fit(latents, square_error(latents))
        sizes = [len(codec.encode(one)) for one in latents]
        assert np.mean(sizes) == pytest.approx(level.bytes, rel=0.1, abs=1)
        step = codec.step  # type: ignore[attr-defined]
        spec = TensorSpec("x", "float32", latents.shape[1:])
        found = codec.decode(codec.encode(latents[0]), spec)
        np.testing.assert_allclose(found, np.round(latents[0] / step) * step, atol=1e-5)


def test_the_levels_have_the_steps_that_are_learnt() -> None:
    every = map(codecs.get, codecs.names())
    steps = [codec.step for codec in every if isinstance(codec, Latent)]
    assert (min(steps), max(steps)) == (FINEST_STEP, COARSEST_STEP)


def test_what_is_learnt_hangs_on_no_clock(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise AssertionError("a clock was asked")

    monkeypatch.setattr("offramp.capture.cutting.measure_s", ask)
    assert make().cut.at > 0


def test_a_graph_that_makes_tensors_moves_to_another_device_with_them() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.recall = nn.Linear(4, 6), nn.LSTM(6, 6, batch_first=True)
            self.answer = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.answer(self.recall(torch.relu(self.mix(x)))[0][:, -1])

    batch = Batch((torch.randn(2, 5, 4),), {}, None)
    cut = cut_after(Recurrent(), batch, "mix")
    cut.to("meta")
    _, answer = cut.follow(cut.reach(batch.to("meta")))
    assert answer.device.type == "meta"


def test_samples_may_come_sorted(make: Make) -> None:
    """Whether features are ever negative is asked of samples from all over."""
    setup = make("first.0")
    images = np.ones((600, 3, 8, 8), np.float32)
    images[300:] *= -1
    spread = replace(setup, training=ArraySamples(Samples((images,))))
    feature = spread.cut.reach(spread.training.batch(range(300)))[spread.cut.tensor.name]
    pair = spread.lesson().pair
    assert not pair.rectified
    assert not torch.allclose(pair.decoder.mean.flatten(), feature.mean((0, 2, 3)), atol=1e-3)


def test_a_training_is_reproducible_and_another_seed_another_one(make: Make) -> None:
    once, again, other = (
        weights(train_bottleneck(make(epochs=2, seed=seed))[0]) for seed in (5, 5, 6)
    )
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert any(not torch.equal(once[name], other[name]) for name in once)


def test_interrupted_and_resumed_ends_as_uninterrupted(make: Make, tmp_path: Path) -> None:
    expected, said = train_bottleneck(make())
    file = tmp_path / "checkpoint"

    def stop(progress: Progress) -> None:
        if progress.epoch == 4 and progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_bottleneck(make(), file, stop)
    seen: list[Progress] = []
    found, levels = train_bottleneck(make(), file, seen.append)
    assert seen[0].epoch == 4
    assert levels == said
    wanted = weights(expected)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in weights(found).items())
    with pytest.raises(ConfigError, match="bottleneck first, not second"):
        train_bottleneck(make("second"), file)


def test_progress_tells_how_many_answers_stay(make: Make) -> None:
    seen: list[Progress] = []
    train_bottleneck(make(epochs=2), report=seen.append)
    assert {one.stage for one in seen} == {"bottleneck behind first"}
    ended = [one for one in seen if one.accuracies is not None]
    assert [one.epoch for one in ended] == [1, 2]
    assert all(0 <= share <= 1 for one in ended for share in one.accuracies)  # type: ignore[union-attr]
    told = replace(make(epochs=1), held_out=None)
    _, levels = train_bottleneck(told, report=seen.append)
    assert levels == ()
    assert seen[-1].accuracies == ()


def test_the_weights_that_lost_least_are_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, kept = iter((3.0, 1.0, 2.0, 2.0, 2.0)), []

    def test(run: Any) -> tuple[float, float]:
        kept.append(weights(run._lesson.pair))
        return next(losses), 0.5

    monkeypatch.setattr("offramp.training.bottleneck.training._Run._test", test)
    pair, _ = train_bottleneck(make(epochs=30, patience=3))
    assert len(kept) == 5
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in weights(pair).items())


@pytest.mark.parametrize("path", ["", "first.9", "answer"])
def test_a_place_where_none_can_be_is_said(make: Make, path: str) -> None:
    with pytest.raises(CaptureError):
        train_bottleneck(make(path))


def test_samples_that_hold_no_numbers_end_it(make: Make) -> None:
    setup = make()
    images = np.full((20, 3, 8, 8), np.nan, np.float32)
    broken = replace(setup, training=ArraySamples(Samples((images,))))
    with pytest.raises(TrainingError, match="the loss is nan at step 1"):
        train_bottleneck(broken)
    one = replace(setup, training=ArraySamples(Samples((images[:1],))))
    with pytest.raises(InputError, match="one sample is too few"):
        train_bottleneck(one)


def test_a_sequence_beside_a_mask_that_crosses_too() -> None:
    """What else crosses the cut goes on untouched, and labels are not looked at."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(20, 8)
            self.mix = nn.Linear(8, 8)
            self.answer = nn.Linear(8, 3)

        def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
            x = torch.relu(self.mix(self.embed(tokens)))
            scores = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            return self.answer(scores)

    torch.manual_seed(0)
    dice = np.random.default_rng(0)
    tokens, mask = dice.integers(0, 20, (80, 6)), np.ones((80, 6), np.float32)
    training = ArraySamples(Samples((tokens, mask)))
    options = TrainingOptions(epochs=2, batch=16)
    setup = BottleneckSetup(Masked().eval(), "mix", training, training, options)
    pair, levels = train_bottleneck(setup)
    assert pair.shape == (6, 8)
    assert len(levels) == 5
    values = setup.cut.reach(Batch((torch.tensor(tokens[:4]), torch.tensor(mask[:4])), {}, None))
    _, answer = setup.cut.follow(values)
    expected = setup.model(torch.tensor(tokens[:4]), torch.tensor(mask[:4]))
    torch.testing.assert_close(answer, expected)
