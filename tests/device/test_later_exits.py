"""What an exit on the server answers: by itself, told as such, and as calibration recorded it."""

import collections
import math

import numpy as np
import pytest

from device.cargo import Cargo
from device.head import Head
from device.sources import Sample
from device.work import Finish, Work
from offramp import backends, codecs
from offramp.bundle import Ensemble, Manifest, open_bundle, write_bundle
from offramp.bundle.allowed import Allowed, AllowedPlan
from offramp.calibration import load_calibration
from offramp.errors import FrameError
from offramp.exits import softmax
from offramp.messages import Answer
from offramp.network import Network
from partitioner.machine import this_machine
from partitioner.plan import Plan
from tests.device.test_agent import lines_of, start

COUNT = 60


@pytest.fixture(scope="module")
def bundle(later, tmp_path_factory):
    """The bundle whose exit answers on the server; devices send their input or answer alone."""
    manifest = later.manifest
    depth = max(manifest.cuts)
    plans = (
        AllowedPlan(cut=0, level="lossless", thresholds=(), accuracy_drop=0.0, left_share=0.0),
        AllowedPlan(cut=depth, thresholds=(2.0,), accuracy_drop=0.0, left_share=0.0),
    )
    fields = {name: getattr(manifest, name) for name in Manifest.model_fields}
    fields |= {"allowed": Allowed(samples=1, plans=plans)}
    files = {name: later.path(name).read_bytes() for name in fields.pop("files")}
    path = tmp_path_factory.mktemp("later") / "later.offramp"
    write_bundle(path, fields, files)
    return open_bundle(path)


@pytest.fixture(scope="module")
def profile(bundle, make_profile):
    """One by which sending is faster."""
    boundaries = bundle.manifest.boundaries
    codecs_s = {f"{at}/{level}": 1e-4 for at, b in enumerate(boundaries) for level in b.levels}
    made = make_profile(bundle.digest, [0.0, 0.02, 0.04, 0.06], [1e-4], codecs_s, codecs_s)
    version = backends.get(made.main.backend).version()
    runner = made.main.model_copy(
        update={"version": version, "tail": tuple(t.scaled(0.01) for t in made.main.tail)}
    )
    return made.model_copy(update={"machine": this_machine(), "runners": (runner,)})


@pytest.fixture
def cargo(bundle, profile, later_samples):
    head = Head([Network(bundle)] * len(bundle.cuts), profile)
    found = Cargo.of(Sample((later_samples.inputs[0][0],)))
    found.head = head
    plan = Plan(0, "lossless", bundle.manifest.policy, ())
    head.run(found.progress, plan, math.inf, 1.0)
    return found, Finish(Work(0, 0.0, 1.0, plan), "ok", "server")


def answer_of(logits, **fields):
    frame = codecs.encode(codecs.get("raw"), np.asarray(logits, np.float32))
    return Answer(0, (frame,), **fields)


def test_logits_of_an_exit_are_taken_at_its_temperature(bundle, cargo):
    found, finish = cargo
    found.unpack(answer_of([1, 2, 3], exit=0), "edge:1")
    output = found.output(finish)
    (spec,) = bundle.manifest.exits
    assert (output.by, output.later, output.ensemble) == ("server", f"exit {spec.name}", "")
    assert output.temperature == spec.temperature != bundle.manifest.temperature
    found.unpack(answer_of([1, 2, 3]), "edge:1")
    output = found.output(finish)
    assert (output.later, output.temperature) == ("", bundle.manifest.temperature)


@pytest.mark.parametrize("number", [1, 2**32 - 2])
def test_the_answer_of_an_exit_that_may_not_answer_is_refused(cargo, number):
    found, _ = cargo
    with pytest.raises(FrameError, match=f"of exit number {number}, which answers nothing"):
        found.unpack(answer_of([1, 2, 3], exit=number), "edge:1")
    assert found.served is None


def test_an_exits_answer_is_refused_at_a_cut_without_later_exits(cargo, bundle):
    found, _ = cargo
    found.progress.sent_at = 1
    with pytest.raises(FrameError, match=r"of exit number 0, which .* at cut 1"):
        found.unpack(answer_of([1, 2, 3], exit=0), "edge:1")


def test_an_exits_answer_is_joined_with_no_other(cargo, bundle, monkeypatch):
    """As in calibration: only the end answers together with an exit."""
    found, finish = cargo
    joined = Ensemble(exit=1.0, end=1.0)
    monkeypatch.setattr(type(bundle.manifest), "ensemble_at", lambda manifest, cut: (0, joined))
    found.progress.logits[0] = np.array([[9, 0, 0]], np.float32)
    found.unpack(answer_of([1, 2, 3]), "edge:1")
    assert found.output(finish).ensemble
    found.unpack(answer_of([1, 2, 3], exit=0), "edge:1")
    output = found.output(finish)
    assert not output.ensemble
    np.testing.assert_array_equal(output.tensor, [1, 2, 3])


@pytest.mark.e2e
def test_a_server_answers_at_the_exit_as_calibration_recorded(
    bundle, profile, later_samples, serve, tmp_path
):
    images, labels = later_samples.inputs[0][:COUNT], later_samples.labels[:COUNT]
    np.savez(tmp_path / "test.npz", inputs=images, labels=labels)
    (tmp_path / "profile.json").write_text(profile.model_dump_json())
    options = ("--server", serve(bundle.folder).address, "--rate", 20)
    process = start(bundle.folder, tmp_path / "test.npz", tmp_path / "profile.json", *options)
    results = lines_of(process)["result"]
    assert len(results) == COUNT
    calibration, network = load_calibration(bundle), Network(bundle)
    (spec,) = bundle.manifest.exits
    place, by = (0, "lossless"), collections.Counter(result["by"] for result in results)
    assert by["server"] >= COUNT / 2
    told = collections.Counter()
    for result in results:
        at = result["id"]
        if result["by"] != "server":
            continue
        assert result["answer"] == calibration.answers[place][at]
        left = calibration.leaves[place][at] == 0
        assert result.get("later", "") == (f"exit {spec.name}" if left else "")
        told[left] += 1
        values = network.run(0, spec.boundary, [images[at : at + 1]])
        logits, heat = network.exit_logits(0, values), spec.temperature
        if not left:
            logits, heat = network.run(spec.boundary, 3, values)[0], bundle.manifest.temperature
        expected = softmax(logits[0], heat).max()
        assert result["confidence"] == pytest.approx(expected, abs=1e-3)
    assert min(told[True], told[False]) > 0
