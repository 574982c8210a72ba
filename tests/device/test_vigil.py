"""The vigil: samples that drift are told of once, samples that do not never are."""

import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from device.head import Head, Progress
from device.vigil import FALSE_ALARM, Vigil
from offramp import backends
from offramp.bundle import open_bundle
from offramp.calibration import load_calibration, score_exits
from offramp.embedded.cluttered_digits import load
from offramp.exits import first_exit
from offramp.exits.fitted import load_policy
from offramp.guarantee.calibrating import calibrate_bundle, recorded
from offramp.guarantee.certificate import Promise
from offramp.guarantee.wish import Wish
from offramp.network import Network
from partitioner.candidates import CLOSED, WATCHED
from partitioner.machine import this_machine
from partitioner.plan import Plan
from tests.device.test_agent import lines_of, start


@pytest.fixture(scope="module")
def safe(embedded, tmp_path_factory):
    """The embedded bundle with a promise."""
    out = tmp_path_factory.mktemp("safe") / "safe.offramp"
    recording = recorded(embedded, None, lambda line: None)
    calibrate_bundle(embedded, recording, Wish(Promise(0.03), "margin"), out)
    return open_bundle(out)


@pytest.fixture(scope="module")
def scores(safe):
    return score_exits(safe.manifest, load_calibration(safe), load_policy(safe))


@pytest.fixture
def vigil(safe, scores):
    return Vigil(safe.manifest, load_calibration(safe), scores)


@pytest.fixture(scope="module")
def local(safe):
    """The certified plan that stays on the device."""
    plans = [p for p in safe.manifest.allowed.plans if p.level is None]
    chosen = max(plans, key=lambda plan: plan.left_share)
    return Plan(chosen.cut, None, "margin", chosen.thresholds)


def test_an_exit_that_only_runs_is_watched_too(vigil, scores):
    """Nobody leaves there, but what the end answers together with it is promised."""
    plan = Plan(8, None, "margin", (CLOSED, CLOSED, WATCHED))
    calm = np.random.default_rng(0).choice(scores, 3000, axis=1)
    assert stream(vigil, plan, calm) == []
    assert stream(vigil, plan, calm * 0.7)
    closed = Plan(8, None, "margin", (CLOSED, CLOSED, CLOSED))
    assert stream(vigil, closed, calm * 0.7) == []


def stream(vigil, plan, scores):
    """Let samples (E, N) pass; return what is told, with the number of the sample."""
    places = first_exit(list(scores), plan.thresholds)
    told = []
    for at, place in enumerate(places):
        left = None if place == len(scores) else int(place)
        seen = [s if e <= place else math.nan for e, s in enumerate(scores[:, at])]
        if found := vigil.observe(plan, left, seen):
            told.append((at, found))
    return told


def test_samples_like_those_of_calibration_are_not_told_of(vigil, scores, local):
    rows = np.random.default_rng(1).integers(0, scores.shape[1], 20_000)
    assert stream(vigil, local, scores[:, rows]) == []


def test_samples_that_are_less_sure_are_told_of_once(vigil, scores, local):
    dice = np.random.default_rng(2)
    rows = dice.integers(0, scores.shape[1], 3_000)
    worse = scores[:, rows] ** 4
    ((at, found),) = stream(vigil, local, worse)
    assert at < 500
    assert found.plan == local.id
    assert found.moved.samples == at + 1
    assert not found.moved.low <= found.moved.recent <= found.moved.high


def test_each_plan_has_a_watch_of_its_own(vigil, scores, local):
    other = Plan(local.cut, None, "margin", (CLOSED, *local.thresholds[1:]))
    rows = np.random.default_rng(3).integers(0, scores.shape[1], 2_000)
    worse = scores[:, rows] ** 4
    assert [found.plan for _, found in stream(vigil, local, worse)] == [local.id]
    assert [found.plan for _, found in stream(vigil, other, worse)] == [other.id]
    assert stream(vigil, local, worse) == []


def test_a_plan_without_open_exits_sees_nothing(vigil, safe):
    sends = Plan(0, "raw", "margin", ())
    closed = Plan(max(safe.cuts), None, "margin", (CLOSED,) * 3)
    assert vigil.observe(sends, None, []) is None
    assert vigil.observe(closed, None, [math.nan] * 3) is None


def test_the_chance_of_a_false_alarm_is_shared(safe, vigil):
    plans = safe.manifest.allowed.plans
    watched = [plan for plan in plans if min(plan.thresholds, default=CLOSED) <= 1]
    assert 0 < len(watched) < len(plans)  # the others cannot alarm, and need no share
    assert vigil._alpha * len(watched) == pytest.approx(FALSE_ALARM)


def blurred(images, radius):
    def blur(image):
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))

    return np.stack([blur(image) for image in images])


def profile_of(bundle, make_profile):
    manifest = bundle.manifest
    keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
    codecs_s = dict.fromkeys(keys, 1e-4)
    heads_s = np.arange(len(manifest.boundaries)) * 1e-4
    return make_profile(bundle.digest, heads_s, [1e-4] * 3, codecs_s, codecs_s)


def test_a_head_tells_of_blurred_images_and_not_of_sharp_ones(safe, vigil, local, make_profile):
    head = Head([Network(safe)] * len(safe.cuts), profile_of(safe, make_profile), vigil)
    images = load("test", 150)[0]

    def told(samples, until_s=math.inf):
        found = []
        for image in samples:
            progress = Progress([image[None]])
            head.run(progress, local, until_s, 1.0)
            found.append(progress.drift)
        return [drift for drift in found if drift]

    assert told(images) == []
    assert told(blurred(images, 4), until_s=-math.inf) == []  # who is hurried is no evidence
    (drift,) = told(np.concatenate([blurred(images, 4)] * 3))
    assert drift.plan == local.id


@pytest.mark.e2e
def test_an_agent_warns_of_images_that_are_not_what_was_calibrated_on(safe, make_profile, tmp_path):
    profile = profile_of(safe, make_profile)
    runner = profile.main.model_copy(update={"version": backends.get("onnxruntime").version()})
    here = profile.model_copy(update={"machine": this_machine(), "runners": (runner,)})
    (tmp_path / "here.json").write_text(here.model_dump_json())
    images = load("test", 120)[0]
    often = np.concatenate([blurred(images, 4)] * 3)
    for name, samples in (("sharp", images), ("blurred", often)):
        source = tmp_path / f"{name}.npz"
        np.savez(source, inputs=samples)
        options = ("--strategy", "device_exits", "--rate", 40, "--max-accuracy-drop", 0.05)
        lines = lines_of(start(safe.folder, source, tmp_path / "here.json", *options))
        assert len(lines["result"]) == len(samples)
        assert len(lines["drift"]) == (name == "blurred")
        for line in lines["drift"]:
            assert line["plan"] in {plan["id"] for plan in lines["plan"]}
            assert not line["low"] <= line["recent"] <= line["high"]
