"""The trainer: interrupted and gone on equals uninterrupted; what goes wrong is one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.errors import ConfigError, InputError, OfframpError, TrainingError
from offramp.samples import LabelledSamples, Samples
from offramp.training.checkpoint import Checkpoint, Position
from offramp.training.options import Progress, TrainingOptions, one_cycle
from offramp.training.recipes import RECIPES
from offramp.training.samples import ArraySamples, Batch, TrainingSamples
from offramp.training.seeding import seed_all
from offramp.training.setup import TrainingSetup
from offramp.training.trainer import train
from offramp.training.weights import write_weights

Make = Callable[..., TrainingSetup]


class _Interrupted(KeyboardInterrupt):
    pass


def _stop_after(epochs: int) -> Callable[[Progress], None]:
    """Interrupt in the midst of an epoch, counted over all stages."""
    done = 0

    def report(progress: Progress) -> None:
        nonlocal done
        if progress.accuracies is not None:
            done += 1
        elif done == epochs and progress.step == 2:
            raise _Interrupted

    return report


def _weights(setup: TrainingSetup) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in setup.model.state_dict().items()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_interrupted_and_gone_on_equals_uninterrupted(
    recipe: str, make_setup: Make, tmp_path: Path
) -> None:
    whole = make_setup(recipe)
    accuracies = train(whole)
    file = tmp_path / "checkpoint"
    for stop in (1, 2):  # the second time in another stage, where there are two
        setup = make_setup(recipe)
        with pytest.raises(_Interrupted):
            train(setup, file, _stop_after(stop if stop == 1 else 1))
    last = make_setup(recipe)
    assert train(last, file) == accuracies
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, _weights(last)[name]), name


def test_a_training_that_was_done_is_done_again_at_once(make_setup: Make, tmp_path: Path) -> None:
    first, again = make_setup("two_stage"), make_setup("two_stage")
    accuracies = train(first, tmp_path / "c")
    steps: list[Progress] = []
    assert train(again, tmp_path / "c", steps.append) == accuracies
    assert steps == []
    for name, tensor in _weights(first).items():
        assert torch.equal(tensor, _weights(again)[name])


def test_a_training_leaves_the_randomness_of_others_alone(make_setup: Make) -> None:
    setup = make_setup()
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(3), np.random.random(3)
    torch.manual_seed(1)
    np.random.seed(1)
    train(setup)
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.random(3) == expected[1]).all()


def test_another_seed_gives_other_weights(make_setup: Make) -> None:
    first, other = make_setup(seed=1, epochs=1), make_setup(seed=2, epochs=1)
    train(first)
    train(other)
    name = "heads.1.2.weight"
    assert not torch.equal(_weights(first)[name], _weights(other)[name])


def test_the_checkpoint_of_another_training_is_not_gone_on_from(
    make_setup: Make, tmp_path: Path
) -> None:
    file = tmp_path / "c"
    train(make_setup("frozen"), file)
    with pytest.raises(ConfigError, match="training with recipe frozen, not joint; remove it"):
        train(make_setup("joint"), file)
    with pytest.raises(ConfigError, match="training with epochs 4, not 5"):
        train(make_setup("frozen", epochs=5), file)
    other = make_setup("frozen")
    torch.nn.init.zeros_(other.model.model.answer.bias)  # type: ignore[union-attr, arg-type]
    with pytest.raises(ConfigError, match=r"with initial weights [0-9a-f]{16}, not "):
        train(other, file)


@pytest.mark.parametrize(("stage", "epoch"), [(99, 1), (0, 3)])
def test_a_checkpoint_from_beyond_the_training_is_one_sentence(
    stage: int, epoch: int, make_setup: Make, tmp_path: Path
) -> None:
    setup = make_setup("two_stage")  # of 2 and 2 epochs
    file = Checkpoint(tmp_path / "c", setup.describe())
    file.write(Position(stage=stage, epoch=epoch), {"x": torch.zeros(1)})
    with pytest.raises(ConfigError, match=f"claims epoch {epoch} of stage {stage + 1}, .* anew"):
        train(setup, file.path)


@pytest.mark.parametrize(
    "damage",
    ["empty", "cut", "flipped", "no description", "no checksum", "other description"],
)
def test_a_damaged_checkpoint_is_one_sentence(
    damage: str, make_setup: Make, tmp_path: Path
) -> None:
    from safetensors.torch import save

    file = tmp_path / "c"
    train(make_setup(), file)
    whole = file.read_bytes()
    write_weights(tmp_path / "other", Position(), {"x": torch.zeros(1)})
    file.write_bytes(
        {
            "empty": b"",
            "cut": whole[:-5],
            "flipped": whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
            "no description": save({"x": torch.zeros(1)}),
            "no checksum": save({"x": torch.zeros(1)}, {"offramp": '{"format": 1}'}),
            "other description": (tmp_path / "other").read_bytes(),
        }[damage]
    )
    with pytest.raises(ConfigError, match=f"{file}: .*; remove it to start anew$") as caught:
        train(make_setup(), file)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_sentence_and_keeps_the_last_checkpoint(
    make_setup: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c"
    write, written = Path.write_bytes, 0

    def fill(path: Path, data: Any) -> int:
        nonlocal written
        written += 1
        if written == 3:
            write(path, data[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(ConfigError, match=r"c: cannot be written .No space left .*free some"):
        train(make_setup(), file)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    found = Checkpoint(file, make_setup().describe()).read()
    assert found is not None
    assert found[0].epoch == 2
    monkeypatch.undo()
    whole, last = make_setup(), make_setup()
    assert train(last, file) == train(whole)
    assert torch.equal(_weights(last)["heads.1.2.weight"], _weights(whole)["heads.1.2.weight"])


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    make_setup: Make, tmp_path: Path
) -> None:
    file = tmp_path / "c"
    setup = make_setup()

    def spoil(progress: Progress) -> None:
        if progress.epoch == 2 and progress.accuracies is not None:
            setup.training.samples.inputs[0][:] = np.nan  # type: ignore[attr-defined]

    with pytest.raises(TrainingError, match=r"loss is nan at step 1 of epoch 3 of stage 'heads'"):
        train(setup, file, spoil)
    found = Checkpoint(file, setup.describe()).read()
    assert found is not None
    position, tensors = found
    assert position.epoch == 2
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_the_best_weights_are_kept_and_a_stage_without_progress_ends(make_setup: Make) -> None:
    setup = make_setup(epochs=30, patience=2, rate=0.5)
    seen: list[tuple[float, ...]] = []

    def note(progress: Progress) -> None:
        if progress.accuracies is not None:
            seen.append(progress.accuracies)

    accuracies = train(setup, report=note)
    means = [sum(a) / len(a) for a in seen]
    best = means.index(max(means))
    assert len(seen) == best + 1 + 2 < 30
    assert accuracies == seen[best] == setup.accuracies()


def test_a_stage_that_makes_worse_keeps_what_the_one_before_ended_with(make_setup: Make) -> None:
    setup = make_setup("two_stage", epochs=8, rate=2e-2, backbone_rate=2e-2)
    first, second = setup.stages
    worse = replace(second, loss=lambda answers: -first.loss(answers))
    setup.__dict__["stages"] = (first, worse)
    seen: dict[str, list[float]] = {first.name: [], second.name: []}

    def note(progress: Progress) -> None:
        if progress.accuracies:
            seen[progress.stage].append(sum(progress.accuracies) / 3)

    accuracies = train(setup, report=note)
    assert max(seen[second.name]) < max(seen[first.name])
    assert sum(accuracies) / 3 == max(seen[first.name])
    assert setup.accuracies() == accuracies


def test_batch_statistics_that_the_factory_froze_do_not_move(make_setup: Make) -> None:
    setup = make_setup("joint", epochs=1)
    frozen, free = setup.model.model.first[1], setup.model.model.second[1]  # type: ignore[index]
    frozen.requires_grad_(False)
    train(setup)
    assert (frozen.running_mean == 0).all()
    assert (free.running_mean != 0).any()


def test_without_held_out_samples_the_last_weights_stay(make_setup: Make) -> None:
    setup = replace(make_setup(epochs=2), held_out=None)
    assert train(setup) == ()
    assert setup.accuracies() is None


def _labelled(labels: list[int]) -> ArraySamples:
    images = np.zeros((len(labels), 3, 8, 8), np.float32)
    return ArraySamples(LabelledSamples((images,), np.array(labels)))


class _Lazy(TrainingSamples):
    """Samples whose labels are known only as they are read."""

    def __init__(self, labels: list[int]) -> None:
        self._held = _labelled(labels)

    def __len__(self) -> int:
        return len(self._held)

    def batch(self, rows: Sequence[int]) -> Batch:
        return self._held.batch(rows)


BAD: dict[str, tuple[dict[str, Any], type[OfframpError], str]] = {
    "label too large": (
        {"training": _labelled([0, 1, 3])}, InputError,
        "label 3 is out of range; there are 3 classes, 0 to 2"),
    "held-out label too large": (
        {"held_out": _labelled([0, 7])}, InputError, "label 7 is out of range"),
    "one class": ({"training": _labelled([2, 2, 2])}, InputError, "every label is 2; .*two"),
    "label too large, read late": (
        {"training": _Lazy([0, 1, 3])}, InputError, "label 3 is out of range"),
    "label too small, read late": (
        {"training": _Lazy([0, 1, -1])}, InputError, "label -1 is out of range"),
    "one class, read late": ({"training": _Lazy([2, 2, 2])}, InputError, "every label is 2"),
    "one class, not all in a batch, read late": (
        {"training": _Lazy([2] * 20), "options": TrainingOptions(batch=16)}, InputError,
        "every label is 2"),
    "held-out label too large, read late": (
        {"held_out": _Lazy([0, 1, 700])}, InputError, "label 700 is out of range"),
    "held-out label too small, read late": (
        {"held_out": _Lazy([0, 1, -5])}, InputError, "label -5 is out of range"),
    "no labels": (
        {"training": ArraySamples(Samples(_labelled([0, 1]).samples.inputs))}, InputError,
        "recipe 'frozen' needs labels; label_free needs none"),
    "one sample": ({"training": _labelled([2])}, InputError, "one sample is too few"),
    "few epochs": (
        {"recipe": RECIPES["two_stage"], "options": TrainingOptions(epochs=1)}, ConfigError,
        "1 epochs are too few for a recipe of 2 stages"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_trained_on_is_one_sentence(name: str, make_setup: Make) -> None:
    changed, kind, said = BAD[name]
    with pytest.raises(kind, match=said) as caught:
        train(replace(make_setup(), **changed))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [_labelled, _Lazy])
def test_a_class_that_the_first_epoch_leaves_out_is_no_fault(
    kind: Callable[[list[int]], TrainingSamples], make_setup: Make
) -> None:
    rare = seed_all(5, 0, 0)  # as the first epoch of the first stage
    labels = torch.zeros(20, dtype=torch.int64)
    labels[torch.randperm(20, generator=rare)[16:]] = 1
    options = TrainingOptions(epochs=1, batch=16, seed=5)
    train(replace(make_setup(), training=kind(labels.tolist()), held_out=None, options=options))


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("too narrow"), "the model fails on a batch of samples: ValueError: too narrow"),
        (torch.OutOfMemoryError("50 GiB"), "the memory of cpu is full; .* smaller --batch"),
    ],
)
def test_a_model_that_fails_in_training_is_one_sentence(
    raised: Exception, said: str, make_setup: Make
) -> None:
    setup = make_setup()

    def fail(module: nn.Module, inputs: object) -> None:
        if module.training:
            raise raised

    setup.model.heads[0].register_forward_pre_hook(fail)
    with pytest.raises(TrainingError, match=said):
        train(setup)
    assert not setup.model.training


def test_held_out_samples_that_give_nan_are_one_sentence(make_setup: Make) -> None:
    setup = make_setup()
    setup.held_out.samples.inputs[0][3, 0] = np.nan  # type: ignore[union-attr]
    with pytest.raises(TrainingError, match="the exit after first answers held-out samples with"):
        train(setup)


def test_without_a_cuda_device_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device here; train with --device cpu"):
        TrainingOptions(device="cuda")


def test_the_rate_rises_and_falls_in_one_cycle() -> None:
    rates = [one_cycle(at / 100) for at in range(101)]
    assert max(rates) == rates[30] == 1
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[0] == pytest.approx(0.04)
    assert rates[-1] == pytest.approx(1e-4)


def test_a_position_knows_the_best_epoch_and_how_long_ago_it_was() -> None:
    at = Position()
    for accuracies, best, waited in (((0.5, 0.7), 0.6, 0), ((0.4, 0.6), 0.6, 1),
                                     ((0.6, 0.6), 0.6, 2), ((0.9, 0.5), 0.7, 0)):  # fmt: skip
        at = at.after(accuracies)
        assert (at.best, at.waited) == (pytest.approx(best), waited)
    assert at.epoch == 4
    assert at.accuracies == (0.9, 0.5)
