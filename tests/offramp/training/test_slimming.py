"""Slimming: what is inside gets thinner, and nobody behind it notices but by the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.errors import CaptureError, ConfigError
from offramp.samples import LabelledSamples, Samples
from offramp.training import recipes
from offramp.training.attach import attach_exits
from offramp.training.checkpoint import Checkpoints
from offramp.training.options import Progress, TrainingOptions
from offramp.training.recipes import Answers
from offramp.training.recipes.joint import joint_loss
from offramp.training.recipes.losses import distillation
from offramp.training.samples import ArraySamples
from offramp.training.session import RECIPE, SLIMMING, train_and_slim
from offramp.training.setup import TrainingSetup
from offramp.training.slimming.groups import Group, Member, find_groups
from offramp.training.slimming.importance import choose_drops, importances
from offramp.training.slimming.layers import LayerWidth, apply_widths
from offramp.training.slimming.plan import plan_slimming
from offramp.training.slimming.proof import answers_alike, shake
from offramp.training.slimming.recipe import Slimmed
from offramp.training.slimming.slim import measure_widths, slim
from offramp.training.slimming.timing import time_device_parts
from offramp.training.survey import survey
from offramp.training.trained import SlimmedPart, Trained, TrainedExit, load_trained, write_trained
from offramp.training.trainer import train


class Residual(nn.Module):
    """A block whose inner width is free, between a stem and a tail with batch statistics."""

    def __init__(self, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.block = _Block(norm)
        self.tail = nn.Sequential(nn.Conv2d(6, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.answer = nn.Linear(8, 3)

    def forward(self, image: Tensor) -> Tensor:
        x = self.tail(self.block(self.stem(image)))
        return self.answer(x.mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.expand, self.norm = nn.Conv2d(6, 12, 3, 1, 1), norm(12)
        self.depthwise = nn.Conv2d(12, 12, 3, 1, 1, groups=12)
        self.contract = nn.Conv2d(12, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.contract(self.depthwise(self.norm(self.expand(x)).relu()))


class Encoder(nn.Module):
    """Attention that finds its number of heads from the width, as those of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 16)
        self.attention = _Attention()
        self.end = nn.Identity()
        self.answer = nn.Linear(16, 3)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image.flatten(2).transpose(1, 2))
        return self.answer(self.end(x + self.attention(x)).mean(1))


class _Attention(nn.Module):
    num_heads = 4

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))
        self.out = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            layer(x).unflatten(2, (-1, 4)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Rotary(nn.Module):
    """Grouped attention with rotary positions, round which torch-pruning goes for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.answer = nn.Linear(3, 8), nn.Linear(8, 3)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 4)
        self.expand, self.contract, self.end = nn.Linear(8, 16), nn.Linear(16, 8), nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image.flatten(2).transpose(1, 2))
        query, key, value = (
            layer(x).unflatten(2, (-1, 4)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        query, key = (
            one * 0.5 + torch.cat([-one[..., 2:], one[..., :2]], -1) for one in (query, key)
        )
        key, value = (
            one[:, :, None].expand(-1, -1, 2, -1, -1).reshape(len(one), 2, -1, 4)
            for one in (key, value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + mixed.transpose(1, 2).flatten(2)
        x = self.end(x + self.contract(self.expand(x).relu()))
        return self.answer(x.mean(1))


class Dense(nn.Module):
    """Channels that are joined, and flattened before a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 4, 3, 1, 1)
        self.join, self.linear = nn.Conv2d(12, 6, 1), nn.Linear(6 * 16, 10)
        self.answer = nn.Linear(10, 3)

    def forward(self, image: Tensor) -> Tensor:
        one = self.one(image).relu()
        both = self.join(torch.cat([one, self.two(one).relu()], 1))
        return self.answer(self.linear(both.flatten(1)))


def draw(seed: int, count: int) -> LabelledSamples:
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 3, count)
    images = dice.normal(size=(count, 3, 8, 8)).astype(np.float32)
    images[np.arange(count), labels] += 0.4
    return LabelledSamples((images,), labels)


def make(
    model: nn.Module | None = None, exits: tuple[str, ...] = ("block",), recipe: str = "frozen",
    **options: object,
) -> TrainingSetup:  # fmt: skip
    training, held_out = (ArraySamples(draw(seed, count)) for seed, count in ((1, 96), (2, 60)))
    if model is None:
        torch.manual_seed(3)
        model = Residual()
    found = survey(model, training.batch(range(2)))
    heads = attach_exits(model, found, dict.fromkeys(exits, "linear"), seed=4)
    chosen = TrainingOptions(**{"epochs": 3, "batch": 16, "seed": 5, **options})  # type: ignore[arg-type]
    return TrainingSetup(heads, recipes.get(recipe), training, held_out, chosen)


Widths = dict[str, tuple[int, int]]
SHAPES: dict[str, tuple[Callable[[], nn.Module], str, list[tuple[str, int]], Widths]] = {
    "depth-wise block": (
        Residual, "block", [("block.expand", 1)],
        {"block.expand": (6, 6), "block.norm": (6, 6), "block.depthwise": (6, 6),
         "block.contract": (6, 6)}),
    "attention by heads": (
        Encoder, "end", [("attention.query", 4)],
        {"attention.query": (16, 8), "attention.key": (16, 8), "attention.value": (16, 8),
         "attention.out": (8, 16)}),
    "joined and flattened": (
        Dense, "linear", [("one", 1), ("two", 1), ("join", 1)],
        {"one": (3, 4), "two": (4, 2), "join": (6, 3), "linear": (3 * 16, 10)}),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_inside_gets_thinner_and_what_leaves_keeps_its_shape(name: str) -> None:
    build, until, groups, widths = SHAPES[name]
    setup = make(build(), (until,))
    slimming = plan_slimming(setup, 0.5)
    assert [(group.root, group.block) for group in slimming.groups] == groups
    slimmed = slim(setup, slimming)
    found = measure_widths(slimmed.model.model, setup.model.model)
    assert {width.path: (width.inputs, width.outputs) for width in found} == widths
    batch = setup.training.batch(range(5))
    for one, other in zip(
        setup.model(*batch.positional), slimmed.model(*batch.positional), strict=True
    ):
        assert one.shape == other.shape
    assert slimmed.survey.place(until).tensor == setup.survey.place(until).tensor
    assert slimmed.survey.place(until).macs < setup.survey.place(until).macs


@pytest.mark.parametrize("name", SHAPES)
def test_the_slimmed_model_answers_as_one_that_ignores_the_channels(name: str) -> None:
    build, until, _, _ = SHAPES[name]
    setup = make(build(), (until,))
    shaken = shake(setup.model.model)
    for group in plan_slimming(setup, 0.3).groups:
        for seed in range(3):
            scores = torch.rand(group.width, generator=torch.Generator().manual_seed(seed))
            drops = group.drops(choose_drops(group, scores, 0.3))
            assert answers_alike(shaken, setup.few, (until,), drops)


def test_channels_that_others_read_too_are_not_proved() -> None:
    setup = make()
    (group,) = plan_slimming(setup, 0.5).groups
    shaken = shake(setup.model.model)
    gone = group.drops({0, 5, 7})
    assert answers_alike(shaken, setup.few, ("block",), gone)
    others = {0, 5, 8}  # the reader loses another channel than is removed
    wrong = {**gone, ("block.contract", "inputs"): others}
    assert not answers_alike(shaken, setup.few, ("block",), wrong)
    less = {key: value for key, value in gone.items() if key[0] != "block.norm"}
    assert not answers_alike(shaken, setup.few, ("block",), less)


def test_attention_channels_are_not_proved_one_by_one() -> None:
    setup = make(Encoder(), ("end",))
    (group,) = plan_slimming(setup, 0.5).groups
    shaken = shake(setup.model.model)
    assert answers_alike(shaken, setup.few, ("end",), group.drops({0, 1, 2, 3}))
    assert not answers_alike(shaken, setup.few, ("end",), group.drops({0, 1, 2, 4}))


def test_the_output_of_an_exit_on_the_way_keeps_its_width() -> None:
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    assert [g.root for g in plan_slimming(make(chain, ("2",)), 0.5).groups] == ["0", "1"]
    assert [g.root for g in plan_slimming(make(chain, ("0", "2")), 0.5).groups] == ["1"]
    assert [g.root for g in plan_slimming(make(chain, ("2",)), 0.5, "1").groups] == ["0"]


@pytest.mark.parametrize(
    ("model", "until", "share", "said"),
    [
        (Residual(), "absent", 0.5, "no sub-module 'absent' to slim up to; the model has: stem"),
        (Residual(), "block", 1.0, "a share of 1.0 cannot stay; name one between 0 and 1"),
        (Residual(), "stem", 0.5, "nothing up to 'stem' can be slimmed to 0.5 of its width"),
        (Residual(), "block", 0.97, "nothing up to 'block' can be slimmed to 0.97"),
        (Residual(lambda n: nn.GroupNorm(3, n)), "block", 0.5, "nothing up to 'block'"),
        (Residual().requires_grad_(False), "block", 0.5, "layers that are trained"),
    ],
)
def test_what_cannot_be_slimmed_is_one_sentence(
    model: nn.Module, until: str, share: float, said: str
) -> None:
    setup = make(model)
    with pytest.raises((CaptureError, ConfigError), match=said) as caught:
        plan_slimming(setup, share, until)
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_followed_is_one_sentence() -> None:
    class Closed(Residual):
        def forward(self, image: Tensor) -> Tensor:
            self.stem(image).numpy()  # not while gradients are followed
            return super().forward(image)

    setup = make(Closed())
    with pytest.raises(CaptureError, match="what depends on what in Closed cannot be followed"):
        find_groups(setup.model.model, setup.few, {"block.expand"})


def test_what_cannot_be_worked_out_stays_and_the_rest_is_slimmed() -> None:
    slimming = plan_slimming(make(Rotary(), ("end",)), 0.5)
    assert [group.root for group in slimming.groups] == ["expand"]


def test_importance_is_the_slope_of_the_loss_in_what_reads_a_channel() -> None:
    setup = make()
    setup = replace(setup, training=ArraySamples(draw(1, 32)))  # one batch
    (group,) = plan_slimming(setup, 0.5).groups
    (found,) = importances(setup, [group])
    model = setup.model.eval().double()
    images, labels = draw(1, 32).inputs[0], draw(1, 32).labels
    weight = model.model.get_parameter("block.contract.weight")

    def loss() -> float:
        *exits, final = model(torch.from_numpy(images).double())
        return float(joint_loss(Answers(tuple(exits), final, torch.from_numpy(labels))))

    with torch.no_grad():
        before, step = weight.clone(), 1e-4
        for channel in range(group.width):
            sides = []
            for scale in (1 + step, 1 - step):
                weight.copy_(before)
                weight[:, channel] *= scale
                sides.append(loss())
            slope = (sides[0] - sides[1]) / (2 * step)
            assert float(found[channel]) == pytest.approx(slope**2, rel=1e-3, abs=1e-9)


def test_the_channels_that_matter_stay_with_their_weights() -> None:
    setup = make()
    original = setup.model.model
    idle = [0, 2, 3, 7, 8, 11]
    with torch.no_grad():
        original.get_parameter("block.contract.weight")[:, idle] = 0
    slimmed = slim(setup, plan_slimming(setup, 0.5))
    stays = [at for at in range(12) if at not in idle]
    for name, axis in (("expand.weight", 0), ("norm.weight", 0), ("contract.weight", 1)):
        ours = slimmed.model.model.get_parameter(f"block.{name}")
        theirs = original.get_parameter(f"block.{name}")
        assert torch.equal(ours, theirs.index_select(axis, torch.tensor(stays))), name
    batch = setup.training.batch(range(8))
    for one, other in zip(
        setup.model(*batch.positional), slimmed.model(*batch.positional), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_heads_of_attention_go_whole() -> None:
    members = (Member("a", "outputs", {at: at for at in range(6)}),)
    group = Group("a", 6, members, block=2)
    assert choose_drops(group, torch.tensor([9.0, 0, 1, 1, 3, 3]), 0.6) == {2, 3}
    assert choose_drops(group, torch.tensor([9.0, 0, 1, 1, 3, 3]), 0.1) == {2, 3, 4, 5}


def test_exits_and_device_part_learn_and_the_tail_stays_to_the_bit() -> None:
    setup = make(recipe="joint", epochs=12, backbone_rate=1e-2, rate=2e-2)
    accuracies = train(setup)
    slimmed = slim(setup, plan_slimming(setup, 0.1), accuracies)
    teacher = {k: t.clone() for k, t in setup.model.state_dict().items()}
    before = {k: t.clone() for k, t in slimmed.model.state_dict().items()}
    damaged = slimmed.accuracies()
    after = train(slimmed)
    assert damaged is not None
    assert sum(after) > sum(damaged) + 0.1
    assert all(now > then - 0.1 for now, then in zip(after, accuracies, strict=True))
    moved = {k for k, t in slimmed.model.state_dict().items() if not torch.equal(t, before[k])}
    assert not any(name.startswith(("model.tail", "model.answer")) for name in moved)
    learnt = ("model.stem.weight", "model.block.contract.weight", "model.block.norm.running_mean")
    assert {*learnt, "heads.0.2.weight"} <= moved
    assert all(torch.equal(t, teacher[k]) for k, t in setup.model.state_dict().items())


def test_without_labels_the_model_as_it_was_is_what_is_right() -> None:
    setup = make(recipe="label_free", epochs=2)
    images = setup.training.samples.inputs  # type: ignore[attr-defined]
    setup = replace(setup, training=ArraySamples(Samples(images)))
    train(setup)
    slimmed = slim(setup, plan_slimming(setup, 0.25))
    batch = setup.training.batch(range(30))
    answers = slimmed.answers(batch)
    assert torch.equal(answers.labels, setup.model(*batch.positional)[-1].argmax(1))
    assert answers.original is not None
    assert len(train(slimmed)) == 2


def test_the_loss_of_a_slimmed_model_is_what_it_says() -> None:
    dice = torch.Generator().manual_seed(0)
    one, two, three, four = (torch.randn(4, 3, generator=dice) for _ in range(4))
    labels = torch.tensor([0, 1, 2, 0])
    ours, theirs = torch.randn(2, 4, 5, generator=dice)
    original = Answers((three,), four, labels, theirs)
    answers = Answers((one,), two, labels, ours, original)
    apart = ((ours - theirs) ** 2).mean() / (theirs**2).mean()
    taught = 0.4 * distillation(one, four) + distillation(two, four)
    ce = nn.functional.cross_entropy
    labelled = 0.4 * ce(one, labels) + ce(two, labels)
    (stage,) = Slimmed(recipes.get("frozen")).stages([0.5])
    assert float(stage.loss(answers)) == pytest.approx(float(apart + taught + labelled), rel=1e-5)
    (stage,) = Slimmed(recipes.get("label_free")).stages([0.5])
    assert float(stage.loss(answers)) == pytest.approx(float(apart + taught), rel=1e-5)


class _Interrupted(KeyboardInterrupt):
    pass


def _stop(stage: str) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if (progress.stage, progress.epoch, progress.step) == (stage, 2, 2):
            raise _Interrupted

    return report


PARTS = (RECIPE, SLIMMING)


def test_interrupted_and_gone_on_equals_uninterrupted(tmp_path: Path) -> None:
    def run(
        out: str, report: Callable[[Progress], None]
    ) -> tuple[TrainingSetup, tuple[float, ...]]:
        setup = make(recipe="joint")
        return train_and_slim(
            setup, plan_slimming(setup, 0.5), Checkpoints(tmp_path / out, PARTS), report
        )

    whole, accuracies = run("whole", lambda progress: None)
    ours = Checkpoints(tmp_path / "ours", PARTS)
    for stage, latest in zip(("joint", "slimmed"), ours.of.values(), strict=True):
        with pytest.raises(_Interrupted):
            run("ours", _stop(stage))
        assert ours.latest == latest
    stages = set[str]()
    last, found = run("ours", lambda progress: stages.add(progress.stage))
    assert stages == {"slimmed"}
    assert found == accuracies
    assert last.lesson is not None
    assert whole.lesson is not None
    assert last.lesson.accuracies == whole.lesson.accuracies
    state = last.model.state_dict()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    ours.remove()
    assert ours.latest is None


def test_the_checkpoint_of_another_slimming_is_not_gone_on_from(tmp_path: Path) -> None:
    setup = make()
    for share, said in ((0.5, ""), (0.25, "training with slim 0.5 until block, not 0.25 until")):
        slimmed = slim(setup, plan_slimming(setup, share))
        if not said:
            train(slimmed, tmp_path / "c")
            continue
        with pytest.raises(ConfigError, match=said):
            train(slimmed, tmp_path / "c")


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, TrainingSetup]:
    setup = make()
    slimmed = slim(setup, plan_slimming(setup, 0.5))
    widths = measure_widths(slimmed.model.model, setup.model.model)
    part = SlimmedPart(until="block", share=0.5, widths=widths, macs=(2, 1), accuracies=())
    spec = TrainedExit(path="block", head="linear", shape=(6, 4, 4), accuracy=None)
    trained = Trained(
        model="m:f", classes=3, exits=(spec,), accuracy=None, recipe="frozen, slimmed",
        settings={}, versions="", slimmed=part,
    )  # fmt: skip
    write_trained(tmp_path / "x", trained, slimmed.model)
    return tmp_path / "x", slimmed


def test_a_file_makes_the_users_model_the_slimmed_one(written: tuple[Path, TrainingSetup]) -> None:
    path, slimmed = written
    trained, loaded = load_trained(path, Residual())
    assert trained.slimmed is not None
    batch = slimmed.training.batch(range(9))
    ours = slimmed.model.eval()(*batch.positional)
    for one, other in zip(ours, loaded(*batch.positional), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(
        ConfigError, match=r"slimmed layer 'block.norm' takes 6 and returns 6, which"
    ):
        load_trained(path, Residual(lambda n: nn.GroupNorm(3, n)))


@pytest.mark.parametrize(
    ("path", "inputs", "outputs"),
    [("absent", 1, 1), ("tail", 1, 1), ("stem", 4, 6), ("stem", 3, 2**40), ("block.norm", 3, 4),
     ("block.depthwise", 3, 4)],
)  # fmt: skip
def test_widths_that_no_layer_can_have_are_refused(path: str, inputs: int, outputs: int) -> None:
    with pytest.raises(ConfigError, match=f"the slimmed layer '{path}' takes {inputs}"):
        apply_widths(Residual(), [LayerWidth(path=path, inputs=inputs, outputs=outputs)])


def test_only_the_device_parts_are_timed_and_in_turn() -> None:
    ran: list[str] = []
    models = [Residual(), Residual()]
    for at, model in enumerate(models):
        for name in ("stem", "block", "tail"):
            model.get_submodule(name).register_forward_pre_hook(
                lambda _module, _inputs, told=f"{at} {name}": ran.append(told)
            )
    times = time_device_parts(models, ArraySamples(draw(1, 1)).batch([0]), "block")
    assert ran[:8] == ["0 stem", "0 block", "1 stem", "1 block"] * 2
    assert not any("tail" in one for one in ran)
    assert 4 * 8 <= len(ran) <= 4 * 51
    assert all(0 < took.lower_s <= took.median_s <= took.upper_s for took in times)
    assert all(not model.block._forward_hooks for model in models)
