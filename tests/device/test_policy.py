"""The device decides as its bundle's policy does on recorded samples."""

import collections
import math

import numpy as np
import pytest

from device.head import Head, Progress
from offramp import backends
from offramp.embedded.cluttered_digits import load
from offramp.exits import first_exit
from offramp.exits.fitted import load_policy
from offramp.exits.recording import record
from offramp.network import Network
from offramp.samples import LabelledSamples
from partitioner.candidates import CLOSED, WATCHED
from partitioner.machine import this_machine
from partitioner.plan import Plan
from tests.device.test_agent import lines_of, start

COUNT = 24
NAMES = ("q_exit", "predicted_depth", "tail_fixes")


@pytest.fixture(scope="module")
def bundles(embedded, with_policy, tmp_path_factory):
    """The embedded bundle with policies that read states, the input, and earlier exits."""
    images, labels = load("calibration", 100)
    samples, home = LabelledSamples((images,), labels), tmp_path_factory.mktemp("policies")
    return {name: with_policy(embedded, samples, name, home / f"{name}.offramp") for name in NAMES}


@pytest.fixture(scope="module")
def recorded(bundles):
    images, labels = load("test", COUNT)
    return record(Network(bundles["q_exit"]), LabelledSamples((images,), labels))


@pytest.fixture(scope="module")
def profiled(make_profile):
    def profile(bundle):
        manifest = bundle.manifest
        keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
        heads_s = np.arange(len(manifest.boundaries)) * 1e-4
        codecs_s = dict.fromkeys(keys, 1e-4)
        return make_profile(
            bundle.digest, heads_s, [1e-4] * len(manifest.exits), codecs_s, codecs_s
        )

    return profile


def head_of(bundle, profiled):
    network = Network(bundle)
    return Head([network] * len(bundle.cuts), profiled(bundle))


def run(head, image, *thresholds):
    bundle = head.network.bundle
    progress = Progress([image[None]])
    plan = Plan(max(bundle.cuts), None, bundle.manifest.policy, thresholds)
    head.run(progress, plan, math.inf, 1.0)
    return progress


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_leaves_where_the_recorded_scores_say(bundles, recorded, profiled, name):
    scores = load_policy(bundles[name]).scores(recorded)
    thresholds = np.quantile(scores, 0.8, axis=1)
    clear = (np.abs(scores - thresholds[:, None]) > 1e-5).all(axis=0)
    expected = first_exit(scores, thresholds)
    head = head_of(bundles[name], profiled)
    left = []
    for image in load("test", COUNT)[0]:
        progress = run(head, image, *thresholds)
        left.append(len(thresholds) if progress.left is None else progress.left)
    np.testing.assert_array_equal(np.array(left)[clear], expected[clear])
    assert len(set(left)) > 2


def test_a_policy_that_looks_back_needs_the_exits_before(bundles, profiled):
    head, image = head_of(bundles["q_exit"], profiled), load("test", 1)[0][0]
    watched = run(head, image, WATCHED, WATCHED, 0.0)
    assert (watched.left, set(watched.logits)) == (2, {0, 1, 2})
    closed = run(head, image, CLOSED, CLOSED, 0.0)
    assert (closed.left, set(closed.logits)) == (None, {2})
    assert closed.final is not None
    alone = head_of(bundles["predicted_depth"], profiled)
    assert run(alone, image, CLOSED, CLOSED, 0.0).left == 2


@pytest.mark.parametrize("name", NAMES)
def test_an_exit_that_answers_with_nan_lets_nothing_leave(bundles, profiled, monkeypatch, name):
    head = head_of(bundles[name], profiled)
    monkeypatch.setattr(
        head.network, "exit_logits", lambda at, values, codes: np.full((1, 10), np.nan, np.float32)
    )
    progress = run(head, load("test", 1)[0][0], 0.0, 0.0, 0.0)
    assert progress.left is None
    assert progress.final is not None


@pytest.mark.e2e
def test_a_device_runs_a_bundle_whose_policy_reads_states(bundles, profiled, tmp_path):
    bundle = bundles["q_exit"]
    images, labels = load("test", COUNT)
    np.savez(tmp_path / "test.npz", inputs=images, labels=labels)
    made = profiled(bundle)
    version = backends.get(made.main.backend).version()
    runner = made.main.model_copy(update={"version": version})
    made = made.model_copy(update={"machine": this_machine(), "runners": (runner,)})
    (tmp_path / "profile.json").write_text(made.model_dump_json())
    path = bundle.folder
    options = ("--strategy", "device_exits", "--rate", 20, "--max-accuracy-drop", 0.05)
    process = start(path, tmp_path / "test.npz", tmp_path / "profile.json", *options)
    lines = lines_of(process)
    results = lines["result"]
    assert len(results) == COUNT
    assert collections.Counter(r["status"] for r in results) == {"ok": COUNT}
    assert any(r["by"].startswith("exit ") for r in results), results[0]
    assert all(np.isfinite(r["confidence"]) for r in results)
