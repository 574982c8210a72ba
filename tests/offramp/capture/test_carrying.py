"""Exit heads that hand a code on: the same answers in training, on engines and on the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from device.board import Board
from device.fallback import Option
from device.head import Head, Progress
from offramp.bundle import Bundle, Ensemble, Manifest, open_bundle
from offramp.bundle.manifest import decode_manifest, encode_manifest
from offramp.calibration import load_calibration
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.early_exit import EarlyExitModel
from offramp.errors import BundleError, CaptureError
from offramp.exits import FittedPolicy, get
from offramp.exits.heads import CarryingHead, build_head
from offramp.exits.recording import record
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array, TensorSpec
from partitioner.candidates import CLOSED, WATCHED, build_candidates
from partitioner.measure import measure_profile
from partitioner.plan import Plan
from partitioner.profile import Profile

KINDS = {"first": "latent", "second": "linear", "third": "latent"}
DEEP = 2


class Deep(nn.Module):
    """Three convolutions of 4 channels, and an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.first, self.second, self.third = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.answer = nn.Linear(4, 3)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.stem(image.permute(0, 3, 1, 2).float() / 255))
        for layer in (self.first, self.second, self.third):
            x = torch.relu(layer(x))
        logits: Tensor = self.answer(x.mean((2, 3)))
        return logits


def deep(kinds: dict[str, str] | None = None) -> EarlyExitModel:
    torch.manual_seed(0)
    feature = TensorSpec("x", "float32", (4, 4, 4))
    chosen = kinds or KINDS
    return EarlyExitModel(Deep(), {at: build_head(k, feature, 3) for at, k in chosen.items()})


@pytest.fixture(scope="module")
def model() -> EarlyExitModel:
    return deep().eval()


@pytest.fixture(scope="module")
def images(tiny_samples: LabelledSamples) -> Tensor:
    return torch.from_numpy(tiny_samples.inputs[0])


@pytest.fixture(scope="module")
def expected(model: EarlyExitModel, images: Tensor) -> list[Array]:
    with torch.no_grad():
        return [logits.numpy() for logits in model(images)]


@pytest.fixture(scope="module")
def bundle(
    model: EarlyExitModel,
    tiny_samples: LabelledSamples,
    tmp_path_factory: pytest.TempPathFactory,
    exported_once: None,
) -> Bundle:
    path = tmp_path_factory.mktemp("carrying") / "deep.offramp"
    compile_model(model, tiny_samples, path, CompileOptions("deep", max_segments=4))
    return open_bundle(path)


@pytest.fixture(scope="module")
def profile(bundle: Bundle, make_profile: Callable[..., Profile]) -> Profile:
    manifest = bundle.manifest
    keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
    heads_s = [float(at) for at in range(len(manifest.boundaries))]
    return make_profile(bundle.digest, heads_s, [0.1, 0.2, 0.4], *[dict.fromkeys(keys, 1e-4)] * 2)


def test_a_later_head_goes_on_from_the_code_of_the_one_before(
    model: EarlyExitModel, images: Tensor
) -> None:
    first, _, third = model.heads
    assert isinstance(first, CarryingHead)
    assert isinstance(third, CarryingHead)
    assert (first.follows, first.followed) == (None, True)
    assert (third.follows, third.followed) == ("first", False)
    loss = nn.functional.cross_entropy(model(images)[DEEP], torch.zeros(60, dtype=torch.int64))
    weights = dict(first.named_parameters())
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    learns = {name for name, grad in zip(weights, found, strict=True) if grad is not None}
    assert {"latents", "read.value.weight"} <= learns  # the deep exit's loss teaches them
    assert not any(name.startswith("answer") for name in learns)


def test_a_head_alone_starts_anew() -> None:
    alone = deep({"second": "linear", "third": "latent"}).heads[1]
    assert isinstance(alone, CarryingHead)
    assert (alone.follows, alone.followed) == (None, False)
    assert alone(torch.randn(2, 4, 4, 4)).shape == (2, 3)


def test_weights_fit_a_model_that_is_made_again(model: EarlyExitModel) -> None:
    deep().load_state_dict(model.state_dict())


def test_heads_in_another_order_than_the_models_are_refused(images: Tensor) -> None:
    turned = deep({"third": "latent", "first": "latent"})
    with pytest.raises(CaptureError, match="'first' goes on from 'third', which the model reaches"):
        turned(images)


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_engines_answer_as_the_model_does(
    bundle: Bundle, backend: str, images: Tensor, expected: list[Array]
) -> None:
    manifest = bundle.manifest
    assert [spec.follows for spec in manifest.exits] == [None, None, 0]
    network, codes = Network(bundle, backend), dict[str, Array]()
    for at, spec in enumerate(manifest.exits):
        values = network.run(0, spec.boundary, [images.numpy()])
        found = network.exit_logits(at, values, codes)
        np.testing.assert_allclose(found, expected[at], atol=1e-5, rtol=1e-4)
    assert [code.shape for code in codes.values()] == [(60, 4, 64)]


def test_what_is_recorded_is_what_the_model_answers(
    bundle: Bundle, expected: list[Array], tiny_samples: LabelledSamples
) -> None:
    calibration = load_calibration(bundle)
    evidence = record(Network(bundle), tiny_samples)
    for at in range(3):
        np.testing.assert_allclose(calibration.exit_logits[at], expected[at], atol=1e-4)
        again = evidence.logits[at] * bundle.manifest.exits[at].temperature
        np.testing.assert_allclose(again, expected[at], atol=1e-4)


def test_a_plan_that_closes_the_first_exit_lets_it_run_for_the_deep_one(bundle: Bundle) -> None:
    """The first exit is sure and wrong, so that it is better closed; the deep one is right."""
    calibration = load_calibration(bundle)
    right = 1e4 * np.eye(3, dtype=np.float32)[calibration.labels]
    logits = np.stack([np.roll(right, 1, axis=1), np.zeros_like(right), right])
    calibration = replace(calibration, exit_logits=logits)
    candidates = build_candidates(bundle, calibration, FittedPolicy(get("confidence")))
    first, second, deep = candidates.thresholds.T
    assert ((first == WATCHED) & (deep < CLOSED)).any()
    assert (first[deep < CLOSED] < CLOSED).all()
    assert (first[deep == CLOSED] != WATCHED).all()
    assert (second != WATCHED).all()


def test_a_deep_exit_that_runs_for_the_end_alone_has_the_first_run_for_it(bundle: Bundle) -> None:
    """All are sure and wrong, but the end together with the deep exit."""
    calibration, ensemble = load_calibration(bundle), Ensemble(exit=1.0, end=1.0)
    *others, deep = bundle.manifest.exits
    exits = (*others, deep.model_copy(update={"ensemble": ensemble}))
    manifest = bundle.manifest.model_copy(update={"exits": exits})
    right = 1e4 * np.eye(3, dtype=np.float32)[calibration.labels]
    wrong, other = np.roll(right, 1, axis=1), np.roll(right, 2, axis=1)
    end, last = wrong + 0.6 * right, other + 0.6 * right
    calibration = replace(
        calibration,
        exit_logits=np.stack([wrong, wrong, last]),
        final_logits=end,
        together=dict.fromkeys(calibration.levels, calibration.labels),
    )
    changed = Bundle(manifest, bundle.digest, bundle.folder)
    candidates = build_candidates(changed, calibration, FittedPolicy(get("confidence")))
    best = candidates.thresholds[candidates.accuracy == 1.0]
    assert ((best[:, DEEP] == WATCHED) & (best[:, 0] == WATCHED)).any()
    assert (best[best[:, DEEP] < CLOSED, 0] < CLOSED).all()


def _head(bundle: Bundle, profile: Profile) -> Head:
    return Head([Network(bundle)] * len(bundle.cuts), profile.slowed(1e-9))


def test_a_device_answers_at_the_deep_exit_as_the_model_does(
    bundle: Bundle, profile: Profile, images: Tensor, expected: list[Array]
) -> None:
    head, depth = _head(bundle, profile), max(bundle.cuts)
    plan = Plan(depth, None, "confidence", (WATCHED, CLOSED, 0.0))
    progress = Progress([images.numpy()[:1]])
    head.run(progress, plan, math.inf, 1.0)
    assert (progress.left, set(progress.logits)) == (DEEP, {0, DEEP})
    np.testing.assert_allclose(progress.logits[DEEP], expected[DEEP][:1], atol=1e-5)


def test_a_device_in_haste_runs_what_leads_to_an_exit(
    bundle: Bundle,
    profile: Profile,
    images: Tensor,
    expected: list[Array],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, depth = _head(bundle, profile), max(bundle.cuts)
    deep = Option(DEEP, bundle.manifest.exits[DEEP].boundary, 1.0)
    monkeypatch.setattr("device.head.leave_early", lambda *given, **times_s: deep)
    progress = Progress([images.numpy()[:1]])
    reached = head.run(progress, Plan(depth, None, "confidence", (CLOSED,) * 3), math.inf, 1.0)
    assert (progress.left, reached.hurried, set(progress.logits)) == (DEEP, True, {0, DEEP})
    np.testing.assert_allclose(progress.logits[DEEP], expected[DEEP][:1], atol=1e-5)


def test_an_exit_is_no_option_once_what_leads_to_it_was_passed(
    bundle: Bundle, profile: Profile
) -> None:
    board, exits = Board(profile, bundle.manifest), bundle.manifest.exits
    boundaries = [spec.boundary for spec in exits]
    times_s = {option.exit: option.time_s for option in board.options(0, (), 1.0)}
    assert times_s[DEEP] == pytest.approx(boundaries[DEEP] + 0.1 + 0.4)
    assert times_s[1] == pytest.approx(boundaries[1] + 0.2)
    here = board.options(boundaries[0], (), 1.0)
    assert DEEP in [option.exit for option in here]
    beyond = board.options(boundaries[0] + 1, (), 1.0)
    assert DEEP not in [option.exit for option in beyond]
    known = board.options(boundaries[0] + 1, (0,), 1.0)
    assert known[1].exit == DEEP
    assert known[1].time_s == pytest.approx(boundaries[DEEP] - boundaries[0] - 1 + 0.4)


def test_every_exit_is_measured(bundle: Bundle) -> None:
    found = measure_profile(bundle, [("onnxruntime", 1)], rounds=1)
    assert len(found.exits) == 3


def test_an_int8_head_hands_its_code_on(
    model: EarlyExitModel,
    tiny_samples: LabelledSamples,
    tmp_path: Path,
    expected: list[Array],
    exported_once: None,
) -> None:
    path = tmp_path / "int8.offramp"
    compile_model(model, tiny_samples, path, CompileOptions("deep", max_segments=4, int8=True))
    quantised = open_bundle(path)
    network, codes = Network(quantised, "onnxruntime_int8"), dict[str, Array]()
    for at, spec in enumerate(quantised.manifest.exits):
        values = network.run(0, spec.boundary, [tiny_samples.inputs[0]])
        found = network.exit_logits(at, values, codes)
        assert np.abs(found - expected[at]).max() < 0.15 * np.abs(expected[at]).max()


def test_a_manifest_whose_exits_follow_later_ones_is_refused(bundle: Bundle) -> None:
    data, _ = encode_manifest(bundle.manifest)
    for wrong in (2, 3):
        damaged = data.replace(b'"follows":0', b'"follows":%d' % wrong)
        with pytest.raises(BundleError, match="'third' follows one that does not come before"):
            decode_manifest(damaged, "here")
    plain = Manifest.model_validate_json(data)
    assert plain.leading_to(DEEP) == (0,)
