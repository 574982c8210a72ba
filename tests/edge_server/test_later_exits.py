"""Samples leave at exits on the server as the plain function of what crossed the cut says."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_server.engine import Engine
from edge_server.passage import Passage, Place
from offramp import codecs
from offramp.bundle import Bundle, LaterExits, Manifest, open_bundle, write_bundle
from offramp.calibration import load_calibration
from offramp.embedded.cluttered_digits import load
from offramp.errors import BundleError, EngineError
from offramp.exits.later import exits_to_run, margin_of
from offramp.fusing import FUSE_AFTER
from offramp.messages import Request
from offramp.network import Codes, Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array
from tests.edge_server.alone import run_alone

LIMIT_BYTES = 1 << 24
NEAR = 1e-4  # of a margin to its threshold: sums in another order may decide otherwise


def _write(bundle: Bundle, path: Path, later: dict[int, tuple[float, ...]]) -> Bundle:
    """Write a bundle again with other later exits, the same at every level of a cut."""
    manifest = bundle.manifest
    boundaries = [boundary.model_copy(update={"later": None}) for boundary in manifest.boundaries]
    for cut, thresholds in later.items():
        each = LaterExits(thresholds=thresholds, worse=0, better=0)
        found = dict.fromkeys(boundaries[cut].levels, each)
        boundaries[cut] = boundaries[cut].model_copy(update={"later": found})
    fields = {name: getattr(manifest, name) for name in Manifest.model_fields}
    files = {name: bundle.path(name).read_bytes() for name in fields.pop("files")}
    write_bundle(path, {**fields, "boundaries": tuple(boundaries)}, files)
    return open_bundle(path)


@pytest.fixture(scope="module")
def digits(embedded: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Network:
    """The embedded network with later exits behind some cuts."""
    manifest = embedded.manifest
    wanted = {
        cut: tuple(np.linspace(0.5, 0.9, len(manifest.exits) - manifest.exits_before(cut)))
        for cut in range(max(manifest.cuts))
        if manifest.exits_before(cut) < len(manifest.exits) and cut != 1
    }
    path = tmp_path_factory.mktemp("digits") / "digits.offramp"
    return Network(_write(embedded, path, wanted))


@pytest.fixture(scope="module")
def carrying(
    tiny_samples: LabelledSamples, tmp_path_factory: pytest.TempPathFactory, exported_once: None
) -> Network:
    """A network whose third exit goes on from the first one's code, and may answer from cut 0."""
    from offramp.capture.compiler import CompileOptions, compile_model
    from tests.offramp.capture.test_carrying import deep

    home = tmp_path_factory.mktemp("carrying")
    options = CompileOptions("deep", max_segments=4)
    compile_model(deep().eval(), tiny_samples, home / "deep.offramp", options)
    compiled = Network(open_bundle(home / "deep.offramp"))
    logits, codes, tensors = np.zeros(0), dict[str, Array](), list(tiny_samples.inputs)
    for number, spec in enumerate(compiled.bundle.manifest.exits):
        logits = compiled.exit_logits(number, compiled.run(0, spec.boundary, tensors), codes)
    half = float(np.median(margin_of(compiled.bundle.manifest.exits[-1], logits)))
    return Network(_write(compiled.bundle, home / "later.offramp", {0: (2.0, 2.0, half)}))


@pytest.fixture(scope="module")
def images() -> Array:
    return load("test", 24)[0]


def _plain(network: Network, cut: int, level: str, tensors: Sequence[Array]) -> Any:
    """Return the exit at which a sample leaves, its logits, and how near a margin came."""
    manifest, codes = network.bundle.manifest, dict[str, Array]()
    thresholds, at, values, near = manifest.later_at(cut, level), cut, list(tensors), np.inf
    for number in exits_to_run(manifest, thresholds):
        spec = manifest.exits[number]
        values, at = network.run(at, spec.boundary, values), spec.boundary
        logits = network.exit_logits(number, values, codes)
        margin = float(margin_of(spec, logits)[0])
        near = min(near, abs(margin - thresholds.get(number, 9.0)))
        if margin >= thresholds.get(number, 9.0):
            return number, logits[0], near
    return None, network.run(at, network.depth, values)[0][0], near


def _request(network: Network, number: int, image: Array, cut: int, level: str) -> Request:
    values = network.run(0, cut, [image[None]])
    frames = network.encode(cut, level, values).frames
    return Request(number, network.bundle.digest, cut, frames)


def _run_together(engine: Engine, requests: Iterable[Request]) -> list[Passage]:
    """Take samples from where most wait, the one that has come least far first, in batches."""
    passages = [engine.begin(request) for request in requests]
    while going := [one for one in passages if not one.ended]:
        place = min((one.place for one in going), key=lambda place: (place.at, not place.narrow))
        engine.step([one for one in going if one.place == place])
    return passages


def test_one_by_one_every_answer_is_the_plain_functions_bit_for_bit(
    digits: Network, images: Array
) -> None:
    engine, left = Engine([digits], LIMIT_BYTES), set()
    (output,) = digits.bundle.manifest.boundaries[-1].tensors
    for cut in range(digits.depth):
        for at, image in enumerate(images[:6]):
            request = _request(digits, at, image, cut, "lossless")
            outcome = run_alone(engine, request)
            (found,) = (codecs.decode(o, output, limit_bytes=4096) for o in outcome.outputs)
            values = digits.run(0, cut, [image[None]])
            number, logits, _ = _plain(digits, cut, "lossless", values)
            assert outcome.exit == number
            np.testing.assert_array_equal(found, logits)
            stop = digits.depth if number is None else digits.bundle.manifest.exits[number].boundary
            assert len(outcome.segment_s) == stop - cut
            left.add(number)
    assert left == {0, 1, 2, None}


def test_samples_of_all_cuts_and_levels_leave_a_batch_as_they_would_alone(
    digits: Network, images: Array
) -> None:
    engine, asked, dice = Engine([digits], LIMIT_BYTES), [], np.random.default_rng(3)
    boundaries = digits.bundle.manifest.boundaries
    for at, image in enumerate(images):
        cut = int(dice.integers(digits.depth))
        level = str(dice.choice(sorted(boundaries[cut].levels)))
        asked.append((_request(digits, at, image, cut, level), cut, level))
    passages = _run_together(engine, [request for request, _, _ in asked])
    sure = 0
    for passage, (request, cut, level) in zip(passages, asked, strict=True):
        received, _ = digits.decode(cut, request.frames, limit_bytes=LIMIT_BYTES)
        number, logits, near = _plain(digits, cut, level, received)
        if near > NEAR:
            sure += 1
            assert passage.exit == number
            np.testing.assert_allclose(passage.tensors[0][0], logits, atol=1e-3)
    assert sure > 20
    assert len({passage.exit for passage in passages}) > 2


def test_who_leaves_frees_its_place_in_the_batch(digits: Network, images: Array) -> None:
    engine, steps = Engine([digits], LIMIT_BYTES), list[tuple[int, int]]()

    def note(place: Place, until: int, samples: int, took_s: float) -> None:
        steps.append((place.at, samples))

    engine.stepped = note
    requests = [_request(digits, at, image, 0, "lossless") for at, image in enumerate(images)]
    passages = _run_together(engine, requests)
    exits = digits.bundle.manifest.exits
    for at, samples in steps:
        waiting = [p for p in passages if p.exit is None or exits[p.exit].boundary > at]
        assert samples == len(waiting)
    assert steps[-1][1] < len(images)


def test_an_exit_that_goes_on_from_another_ones_code_answers_behind_the_cut(
    carrying: Network, later_samples: LabelledSamples
) -> None:
    """The first exit is closed, and runs for its code; samples from behind it meet the others."""
    manifest, engine = carrying.bundle.manifest, Engine([carrying], LIMIT_BYTES)
    assert [spec.follows for spec in manifest.exits] == [None, None, 0]
    images = later_samples.inputs[0][:30]
    cuts = [at % 3 for at in range(30)]
    requests = [
        _request(carrying, at, image, cut, "lossless")
        for at, (image, cut) in enumerate(zip(images, cuts, strict=True))
    ]
    passages, left = _run_together(engine, requests), set()
    for passage, image, cut in zip(passages, images, cuts, strict=True):
        values = carrying.run(0, cut, [image[None]])
        number, logits, near = _plain(carrying, cut, "lossless", values)
        if near > NEAR:
            assert passage.exit == number
            np.testing.assert_allclose(passage.tensors[0][0], logits, atol=1e-4)
            left.add((cut, number))
    assert left == {(0, 2), (0, None), (1, None), (2, None)}


def test_an_engine_that_fails_at_an_exit_moves_nobody(
    digits: Network, images: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine([digits], LIMIT_BYTES)
    passages = [engine.begin(_request(digits, at, images[at], 0, "lossless")) for at in range(3)]
    before = digits.bundle.manifest.exits[0].boundary
    while passages[0].at < before - 1:
        engine.step(passages)

    def fail(*_: object) -> None:
        raise EngineError("no such kernel")

    monkeypatch.setattr(digits, "exit_logits", fail)
    with pytest.raises(EngineError):
        engine.step(passages)
    assert {(one.at, one.exit) for one in passages} == {(before - 1, None)}


def test_a_fused_tail_stops_where_an_exit_may_answer(digits: Network, images: Array) -> None:
    network = Network(digits.bundle)
    engine = Engine([network], LIMIT_BYTES)
    requests = [_request(network, at, images[at % 24], 2, "lossless") for at in range(FUSE_AFTER)]
    before = [run_alone(engine, request).exit for request in requests]
    for thread in threading.enumerate():
        if thread.name == "fuse":
            thread.join(30)
    exits, depth = network.bundle.manifest.exits, network.depth
    stops = {depth, *(spec.boundary for spec in exits)}
    for request, expected in zip(requests[:24], before, strict=False):
        outcome = run_alone(engine, request)
        assert outcome.exit == expected
        end = depth if expected is None else exits[expected].boundary
        assert len(outcome.segment_s) == sum(2 < stop <= end for stop in stops)


def test_frames_of_no_calibrated_level_run_to_the_end(digits: Network, images: Array) -> None:
    values = digits.run(0, 2, [images[:1]])
    assert "raw" not in digits.bundle.manifest.boundaries[2].levels
    frames = tuple(codecs.encode(codecs.get("raw"), array[0]) for array in values)
    engine = Engine([digits], LIMIT_BYTES)
    outcome = run_alone(engine, Request(1, digits.bundle.digest, 2, frames))
    assert outcome.exit is None


def test_recorded_answers_are_the_engines(later: Bundle, later_samples: LabelledSamples) -> None:
    """Those of the calibration samples themselves, in batches, at every level."""
    network, calibration = Network(later), load_calibration(later)
    engine = Engine([network], LIMIT_BYTES)
    images, (spec,) = later_samples.inputs[0][:200], later.manifest.exits
    for (cut, level), leaves in calibration.leaves.items():
        requests = [_request(network, at, image, cut, level) for at, image in enumerate(images)]
        passages = _run_together(engine, requests)
        threshold = later.manifest.later_at(cut, level)[0]
        for at, (passage, request) in enumerate(zip(passages, requests, strict=True)):
            received, _ = network.decode(cut, request.frames, limit_bytes=LIMIT_BYTES)
            values = network.run(cut, spec.boundary, received)
            margin = float(margin_of(spec, network.exit_logits(0, values))[0])
            if abs(margin - threshold) > NEAR:
                assert leaves[at] == (1 if passage.exit is None else 0)
                answer = passage.tensors[0].argmax()
                assert calibration.answers[cut, level][at] == answer


def test_a_bundle_whose_later_exit_answers_otherwise_than_the_model_is_refused(
    digits: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(digits.bundle)

    def five(at: int, tensors: Sequence[Array], codes: Codes | None = None) -> Array:
        return np.zeros((len(tensors[0]), 5), np.float32)

    monkeypatch.setattr(network, "exit_logits", five)
    with pytest.raises(BundleError, match=r"gives .*5.* where its manifest says .*10"):
        Engine([network], LIMIT_BYTES)
