"""Training recipes: every member learns, and trains what it says and nothing else."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.exits.policies.learned_gate import COST_WEIGHT
from offramp.training import recipes
from offramp.training.recipes import RECIPES, Answers, Stage, share_epochs
from offramp.training.recipes.joint_gates import leaving
from offramp.training.recipes.losses import distillation, rising_weights
from offramp.training.setup import TrainingSetup
from offramp.training.trainer import train

Make = Callable[..., TrainingSetup]


def test_every_recipe_is_registered() -> None:
    files = {module.name for module in pkgutil.iter_modules(recipes.__path__)}
    assert files - {"losses", "recipe"} == set(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipes.get(name) is recipe
    with pytest.raises(ConfigError, match="unknown training recipe 'join'; did you mean 'joint'"):
        recipes.get("join")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_the_exits(name: str, make_setup: Make) -> None:
    setup = make_setup(name, epochs=8, rate=2e-2, backbone_rate=2e-2)
    before = setup.accuracies()
    after = train(setup)
    assert before is not None
    assert len(after) == 3
    for at in range(2):
        assert after[at] > max(before[at], 0.6), (name, before, after)


@pytest.mark.parametrize("name", RECIPES)
def test_a_frozen_model_does_not_move_and_another_does(name: str, make_setup: Make) -> None:
    setup = make_setup(name)
    before = {k: t.clone() for k, t in setup.model.model.state_dict().items()}
    train(setup)
    after = setup.model.model.state_dict()
    same = [key for key, tensor in before.items() if torch.equal(tensor, after[key])]
    trains = any(stage.backbone for stage in setup.stages)
    assert same == ([] if trains else list(before)), same
    assert all(parameter.requires_grad for parameter in setup.model.parameters())


@pytest.mark.parametrize("name", RECIPES)
def test_what_the_factory_froze_stays_so(name: str, make_setup: Make) -> None:
    setup = make_setup(name, epochs=2)
    conv = setup.model.model.first[0]  # type: ignore[index]
    conv.weight.requires_grad_(False)
    before = conv.weight.clone()
    train(setup)
    assert torch.equal(conv.weight, before)
    assert not conv.weight.requires_grad


@pytest.mark.parametrize("name", RECIPES)
def test_a_loss_teaches_exits_and_falls_where_they_are_right(name: str) -> None:
    labels = torch.arange(6) % 3
    right = torch.nn.functional.one_hot(labels, 3).float() * 8
    for stage in RECIPES[name].stages([0.3, 0.6]):
        torch.manual_seed(0)
        exits = tuple(torch.randn(6, 3, requires_grad=True) for _ in range(2))
        loss = stage.loss(Answers(exits, right, labels))
        loss.backward()  # type: ignore[no-untyped-call]
        assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in exits)
        assert stage.loss(Answers((right, right), right, labels)) < loss


def test_labels_do_not_matter_to_label_free() -> None:
    exits, final = (torch.randn(4, 3), torch.randn(4, 3)), torch.randn(4, 3)
    (stage,) = RECIPES["label_free"].stages([0.3, 0.6])
    first = stage.loss(Answers(exits, final, torch.tensor([0, 1, 2, 0])))
    assert first == stage.loss(Answers(exits, final, torch.tensor([1, 1, 1, 1])))


def test_the_teacher_learns_nothing() -> None:
    student, teacher = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    distillation(student, teacher).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert teacher.grad is None
    assert distillation(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_hierarchical_distillation_lets_the_next_exit_teach() -> None:
    chain = [torch.randn(5, 3) for _ in range(3)]
    labels = torch.tensor([0, 1, 2, 0, 1])
    answers = Answers((chain[0], chain[1]), chain[2], labels)
    (joint,) = RECIPES["joint"].stages([0.3, 0.6])
    (taught,) = RECIPES["hierarchical_distillation"].stages([0.3, 0.6])
    teaching = distillation(chain[0], chain[1]) + distillation(chain[1], chain[2])
    torch.testing.assert_close(taught.loss(answers), joint.loss(answers) + teaching)


def test_in_two_stages_the_deepest_head_of_a_kind_teaches_the_others() -> None:
    _, stage = RECIPES["two_stage"].stages([0.2, 0.4, 0.6])
    exits = tuple(torch.randn(5, 3) for _ in range(3))
    final, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    alone = stage.loss(Answers(exits, final, labels, kinds=("local", "global", "linear")))
    alike = stage.loss(Answers(exits, final, labels, kinds=("local", "global", "local")))
    torch.testing.assert_close(alike, alone + distillation(exits[0], exits[2]))
    teaching = distillation(exits[0], exits[2]) + distillation(exits[1], exits[2])
    all_ = stage.loss(Answers(exits, final, labels, kinds=("local",) * 3))
    torch.testing.assert_close(all_, alone + teaching)


def test_a_setup_says_which_heads_are_of_one_kind(make_setup: Make) -> None:
    setup = make_setup("two_stage")
    kinds = setup.answers(setup.training.batch(range(4))).kinds
    assert kinds == tuple(type(head).__qualname__ for head in setup.model.heads)
    assert len(kinds) == len(setup.model.paths)


def test_a_gated_head_learns_from_the_samples_that_leave_there() -> None:
    _, stage = RECIPES["joint_gates"].stages([0.2])
    labels = torch.tensor([0, 1])
    exits = torch.tensor([[2.0, 0.0], [2.0, 0.0]], requires_grad=True)
    final = torch.tensor([[5.0, 0.0], [0.0, 5.0]])
    gate = stage.loss.gates[0]  # type: ignore[attr-defined]
    for open_, leaves in ((50.0, 1.0), (-50.0, 0.0)):
        exits.grad = None
        torch.nn.init.zeros_(gate.weight)
        torch.nn.init.constant_(gate.bias, open_)
        loss = stage.loss(Answers((exits,), final, labels))
        (moved,) = torch.autograd.grad(loss, exits, retain_graph=True)
        alone = torch.nn.functional.cross_entropy(exits, labels)
        (expected,) = torch.autograd.grad(alone, exits)
        torch.testing.assert_close(moved, leaves * expected)
        (gates,) = torch.autograd.grad(loss, gate.bias)
        # Sample 0 should leave at the exit and sample 1 should not.
        assert math.copysign(1, float(gates)) == math.copysign(1, open_)


def test_a_gate_is_taught_to_leave_where_the_policy_would_have_it() -> None:
    _, stage = RECIPES["joint_gates"].stages([0.2])
    spared = 0.8 * COST_WEIGHT
    for gap, sign in ((0.9 * spared, -1), (1.1 * spared, 1)):  # in cross-entropy, to the model
        right = torch.exp(-torch.tensor([0.1 + gap, 0.1]))
        exit_, final = torch.stack([right, 1 - right], 1).log().split(1)
        loss = stage.loss(Answers((exit_,), final, torch.tensor([0])))
        (opens,) = torch.autograd.grad(loss, stage.loss.gates[0].bias)  # type: ignore[attr-defined]
        assert math.copysign(1, float(opens)) == sign


def test_the_shares_that_leave_sum_to_one() -> None:
    opens = torch.rand(7, 3)
    shares = leaving(opens)
    torch.testing.assert_close(shares.sum(1), torch.ones(7))
    torch.testing.assert_close(shares[:, 1], (1 - opens[:, 0]) * opens[:, 1])


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=5), st.integers(0, 60))
def test_epochs_are_divided_by_share(shares: list[float], spare: int) -> None:
    stages = [Stage(str(at), lambda answers: answers.final, share=s) for at, s in enumerate(shares)]
    epochs = share_epochs(stages, len(stages) + spare)
    assert sum(epochs) == len(stages) + spare
    assert min(epochs) >= 1
    for got, share in zip(epochs, shares, strict=True):
        assert abs(got - 1 - spare * share / sum(shares)) <= 1
    with pytest.raises(ConfigError, match="too few"):
        share_epochs(stages, len(stages) - 1)


def test_weights_rise_to_one() -> None:
    assert rising_weights(1) == [1]
    assert rising_weights(4) == pytest.approx([0.4, 0.6, 0.8, 1.0])
