"""The end answers together with the last exit that ran: on the device, and across processes."""

import collections
import math

import numpy as np
import pytest

from device.cargo import Cargo
from device.head import Head
from device.sources import Sample
from device.work import Finish, Work
from offramp import backends
from offramp.bundle import Bundle, Ensemble, Manifest, open_bundle, write_bundle
from offramp.bundle.allowed import Allowed, AllowedPlan
from offramp.calibration import FILE, load_calibration
from offramp.capture.calibrate import record_again
from offramp.embedded.cluttered_digits import load
from offramp.exits import softmax
from offramp.exits.policy import CLOSED, WATCHED
from offramp.exits.recording import evidence_of
from offramp.network import Network
from offramp.samples import LabelledSamples
from partitioner.machine import this_machine
from partitioner.plan import Plan
from tests.device.test_agent import lines_of, start

WEIGHTS = Ensemble(exit=0.7, end=0.6)
COUNT = 24


def _say_nothing(_):
    pass


@pytest.fixture(scope="module")
def bundle(embedded, tmp_path_factory):
    """The embedded bundle, whose end answers together with each of its exits.

    Devices send what the last exit has been watched with, or answer alone with all exits closed.
    """
    from safetensors.numpy import save

    manifest = embedded.manifest
    exits = tuple(spec.model_copy(update={"ensemble": WEIGHTS}) for spec in manifest.exits)
    depth, cut = max(manifest.cuts), manifest.exits[-1].boundary
    number = manifest.exits_before(cut)
    plans = (
        AllowedPlan(
            cut=cut,
            level="lossless",
            thresholds=(CLOSED,) * (number - 1) + (WATCHED,),
            accuracy_drop=0.0,
            left_share=0.0,
        ),
        AllowedPlan(
            cut=depth, thresholds=(CLOSED,) * len(exits), accuracy_drop=0.0, left_share=0.0
        ),
    )
    fields = {name: getattr(manifest, name) for name in Manifest.model_fields}
    fields |= {"exits": exits, "allowed": Allowed(samples=1, plans=plans)}
    files = {name: embedded.path(name).read_bytes() for name in fields.pop("files")}
    home = tmp_path_factory.mktemp("ensemble")
    images, labels = load("calibration", 30)
    few = LabelledSamples((images,), labels)
    changed = manifest.model_copy(update={"exits": exits})
    network = Network(Bundle(changed, embedded.digest, embedded.folder))
    calibration, _ = record_again(network, network, few, _say_nothing)
    arrays = {name: np.ascontiguousarray(a) for name, a in calibration.to_arrays().items()}
    write_bundle(home / "e.offramp", fields, {**files, FILE: save(arrays)})
    return open_bundle(home / "e.offramp")


@pytest.fixture(scope="module")
def profile(bundle, make_profile, tmp_path_factory):
    manifest = bundle.manifest
    keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
    heads_s = np.linspace(0, 0.05, len(manifest.boundaries))
    heads_s[:-1] /= 10  # so that sending is the faster way
    codecs_s = dict.fromkeys(keys, 1e-4)
    exits_s = [1e-4] * len(manifest.exits)
    made = make_profile(bundle.digest, heads_s, exits_s, codecs_s, codecs_s)
    version = backends.get(made.main.backend).version()
    runner = made.main.model_copy(update={"version": version})
    return made.model_copy(update={"machine": this_machine(), "runners": (runner,)})


def answers_of(bundle, image):
    """Return the logits of every exit, and last of the end, of one image."""
    network, values = Network(bundle), [[image[None]]]
    for at in range(network.depth):
        values.append(network.run_segment(at, values[at]))
    heats = [spec.temperature for spec in bundle.manifest.exits]
    seen = evidence_of(network, values)
    logits = [z[0] * heat for z, heat in zip(seen.logits, heats, strict=True)]
    return [*logits, values[-1][0][0]]


def joined(exit_logits, end_logits):
    return WEIGHTS.exit * exit_logits + WEIGHTS.end * end_logits


def test_what_is_recorded_of_a_cut_is_the_answer_with_the_last_exit_before_it(bundle):
    calibration, manifest = load_calibration(bundle), bundle.manifest
    before = {cut: manifest.exits_before(cut) for cut in manifest.cuts}
    expected = {place for place in calibration.levels if before[place[0]]}
    assert set(calibration.together) == expected
    assert expected
    for (cut, level), answers in calibration.together.items():
        if level == "lossless":
            exit_logits = calibration.exit_logits[before[cut] - 1]
            both = joined(exit_logits, calibration.final_logits).argmax(axis=1)
            np.testing.assert_array_equal(answers, both)
    few = calibration.select(np.arange(5))
    assert all(len(answers) == 5 for answers in few.together.values())


@pytest.mark.parametrize("by", ["device", "server"])
@pytest.mark.parametrize(
    ("thresholds", "last"),
    [((CLOSED, CLOSED, WATCHED), 2), ((1.0, CLOSED, 1.0), 2), ((1.0, WATCHED, CLOSED), None)],
)
def test_the_end_answers_with_the_last_exit_before_the_cut_if_that_ran(
    bundle, profile, by, thresholds, last
):
    manifest, network = bundle.manifest, Network(bundle)
    head = Head([network] * len(bundle.cuts), profile)
    image = load("test", 3)[0][2]
    *exit_logits, end = answers_of(bundle, image)
    cargo = Cargo.of(Sample((image,)))
    cargo.head = head
    plan = Plan(max(bundle.cuts), None, manifest.policy, thresholds)
    head.run(cargo.progress, plan, math.inf, 1.0)
    assert cargo.progress.left is None
    if by == "server":  # the answer that came first, whatever the device has found out since
        cargo.served, cargo.progress.left = end, 0
    output = cargo.output(Finish(Work(0, 0.0, 1.0, plan), "ok", by))
    assert output.by == by
    if last is None:
        assert (output.ensemble, output.temperature) == ("", manifest.temperature)
        np.testing.assert_allclose(output.tensor, end, atol=1e-4)
    else:
        assert output.ensemble == f"exit {manifest.exits[last].name}"
        both = joined(exit_logits[last], end)
        expected = softmax(both)
        np.testing.assert_allclose(softmax(output.tensor, output.temperature), expected, atol=1e-4)


def test_an_exit_that_answers_with_nan_leaves_the_end_alone(bundle, profile):
    network = Network(bundle)
    head = Head([network] * len(bundle.cuts), profile)
    image = load("test", 1)[0][0]
    cargo = Cargo.of(Sample((image,)))
    cargo.head = head
    plan = Plan(max(bundle.cuts), None, bundle.manifest.policy, (CLOSED, CLOSED, WATCHED))
    head.run(cargo.progress, plan, math.inf, 1.0)
    cargo.progress.logits[2] = np.full_like(cargo.progress.logits[2], np.nan)
    output = cargo.output(Finish(Work(0, 0.0, 1.0, plan), "ok", "device"))
    assert output.ensemble == ""
    np.testing.assert_allclose(output.tensor, answers_of(bundle, image)[-1], atol=1e-4)


def test_an_exit_of_other_classes_leaves_the_end_alone(bundle, profile):
    network = Network(bundle)
    head = Head([network] * len(bundle.cuts), profile)
    image = load("test", 1)[0][0]
    for wrong in (np.zeros((1, 7), np.float32), np.zeros((1, 1), np.float32)):
        cargo = Cargo.of(Sample((image,)))
        cargo.head = head
        plan = Plan(max(bundle.cuts), None, bundle.manifest.policy, (CLOSED, CLOSED, WATCHED))
        head.run(cargo.progress, plan, math.inf, 1.0)
        cargo.progress.logits[2] = wrong
        output = cargo.output(Finish(Work(0, 0.0, 1.0, plan), "ok", "device"))
        assert output.ensemble == ""
        assert output.tensor.shape == (10,)


@pytest.mark.e2e
def test_what_the_server_answers_is_joined_on_the_device(bundle, profile, serve, tmp_path):
    images, labels = load("test", COUNT)
    np.savez(tmp_path / "test.npz", inputs=images, labels=labels)
    (tmp_path / "profile.json").write_text(profile.model_dump_json())
    options = ("--server", serve(bundle.folder).address, "--rate", 10)
    process = start(bundle.folder, tmp_path / "test.npz", tmp_path / "profile.json", *options)
    lines = lines_of(process)
    results = lines["result"]
    assert len(results) == COUNT
    last = bundle.manifest.exits[-1]
    by = collections.Counter(result["by"] for result in results)
    assert by["server"] >= COUNT / 2, lines["plan"]
    for result in results:
        *_, exit_logits, end = answers_of(bundle, images[result["id"]])
        named = f"exit {last.name}" if result["by"] == "server" else ""
        assert result.get("ensemble", "") == named
        expected = softmax(joined(exit_logits, end)) if named else softmax(
            end, bundle.manifest.temperature)  # fmt: skip
        assert result["answer"] == expected.argmax()
        assert result["confidence"] == pytest.approx(expected.max(), abs=1e-3)
