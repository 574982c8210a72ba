"""A bundle with a learned bottleneck: what crosses, what is recorded, and who runs which part."""

import collections
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from device.deployment import same_shape
from device.head import Head, Progress
from edge_server.engine import Engine, try_out
from offramp import codecs
from offramp.backends import BACKENDS
from offramp.bundle import Bundle, Manifest, open_bundle
from offramp.bundle.command import inspect
from offramp.bundle.part import device_part
from offramp.calibration import load_calibration
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.early_exit import EarlyExitModel
from offramp.codecs.latent import Latent
from offramp.errors import BundleError, FrameError
from offramp.exits.policy import CLOSED
from offramp.guarantee.device_costs import count_macs, held_bytes
from offramp.messages import Request
from offramp.network import Network
from offramp.samples import Samples
from offramp.training.bottleneck.training import BottleneckSetup, train_bottleneck
from offramp.training.options import TrainingOptions
from offramp.training.samples import ArraySamples
from partitioner.measure import measure_profile
from partitioner.plan import Plan
from tests.device.test_agent import lines_of, start
from tests.edge_server.alone import run_alone

INT8 = "onnxruntime_int8"


def _narrow(manifest: Manifest) -> list[tuple[int, str]]:
    return [
        (cut, level)
        for cut, boundary in enumerate(manifest.boundaries)
        for level in boundary.levels
        if isinstance(codecs.get(level), Latent)
    ]


@pytest.fixture(scope="module")
def narrowed(tiny_model, tiny_samples) -> EarlyExitModel:
    """The tiny network with a pair behind its first block."""
    samples = ArraySamples(Samples(tiny_samples.inputs))
    options = TrainingOptions(epochs=60, batch=20, rate=1e-2)
    setup = BottleneckSetup(tiny_model.model, "first", samples, options=options)
    pair, _ = train_bottleneck(setup)
    return EarlyExitModel(tiny_model.model, {"first": tiny_model.heads[0]}, {"first": pair})


@pytest.fixture(scope="module")
def bundle(narrowed, tiny_samples, tmp_path_factory, exported_once) -> Bundle:
    path = tmp_path_factory.mktemp("narrow") / "n.offramp"
    compile_model(narrowed, tiny_samples, path, CompileOptions("narrow", max_segments=3))
    return open_bundle(path)


@pytest.fixture(scope="module")
def int8(narrowed, tiny_samples, tmp_path_factory, exported_once) -> Bundle:
    path = tmp_path_factory.mktemp("narrow") / "i.offramp"
    options = CompileOptions("narrow", max_segments=3, int8=True)
    compile_model(narrowed, tiny_samples, path, options)
    return open_bundle(path)


@pytest.fixture(scope="module")
def place(bundle) -> tuple[int, str]:
    return _narrow(bundle.manifest)[0]


def test_its_levels_are_of_the_frontier_at_its_cut_alone(bundle, place) -> None:
    manifest = bundle.manifest
    (cut,) = manifest.bottlenecks
    assert {at for at, _ in _narrow(manifest)} == {cut}
    pair = manifest.bottlenecks[cut]
    assert manifest.exits[0].boundary == cut
    assert pair.latent.shape == (2, 2, 2)
    sizes = load_calibration(bundle).sizes
    assert sizes[place].mean() < min(
        found.mean() for (at, level), found in sizes.items() if at == cut and level == "lossless"
    )


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_what_is_recorded_is_what_crosses(kind, bundle, int8, tiny_samples) -> None:
    chosen = int8 if kind == "int8" else bundle
    head = Network(chosen, INT8 if kind == "int8" else None)
    tail = Network(chosen, "onnxruntime")
    calibration = load_calibration(chosen)
    places = [place for place in _narrow(chosen.manifest) if place in calibration.answers]
    assert places
    rows = [int(np.flatnonzero(calibration.labels == label)[0]) for label in range(3)]
    given = tiny_samples if kind == "float" else _calibrated(tiny_samples)
    for cut, level in places:
        limit_bytes = chosen.manifest.boundaries[cut].nbytes
        for row in rows:
            values = head.run(0, cut, given[row : row + 1].inputs)
            frames = head.encode(cut, level, values).frames
            received, _ = tail.decode(cut, frames, limit_bytes=limit_bytes)
            answer = tail.run(cut, tail.depth, received)[0].argmax()
            assert calibration.answers[cut, level][row] == answer
            assert abs(calibration.sizes[cut, level][row] - sum(map(len, frames))) <= 2


def _calibrated(samples):
    from offramp.capture.quantisation import split_samples

    return split_samples(samples)[1]


def test_a_head_sends_it_and_an_engine_answers_as_recorded(
    bundle, place, tiny_samples, profile
) -> None:
    network, engine = Network(bundle), Engine([Network(bundle)], 1 << 20)
    cut, level = place
    head = Head([network] * len(bundle.cuts), profile)
    head.prepare()
    head.expect(Plan(cut, level, bundle.manifest.policy, (CLOSED,)), 60.0)
    calibration = load_calibration(bundle)
    for row in range(6):
        progress = Progress(list(tiny_samples[row : row + 1].inputs))
        plan = Plan(cut, level, bundle.manifest.policy, (CLOSED,))
        head.run(progress, plan, math.inf, 1.0)
        request = Request(1, bundle.digest, cut, progress.sent.frames, timeout_s=1.0)
        engine.check(request)
        outcome = run_alone(engine, request)
        spec = bundle.manifest.boundaries[-1].tensors[0]
        logits = codecs.decode(outcome.outputs[0], spec, limit_bytes=spec.nbytes)
        assert logits.argmax() == calibration.answers[place][row]


def test_decoders_run_in_the_batches_of_the_tail(bundle, place, tiny_samples) -> None:
    cut, level = place
    engine, calibration = Engine([Network(bundle)], 1 << 20), load_calibration(bundle)
    rows = range(7)
    passages = []
    for row in rows:
        values = Network(bundle).run(0, cut, tiny_samples[row : row + 1].inputs)
        known = level if row % 3 else "lossless"
        frames = engine.network(bundle.digest).encode(cut, known, values).frames
        passages.append(engine.begin(Request(row, bundle.digest, cut, frames)))
    narrow = [passages[row] for row in rows if row % 3]
    assert {one.place for one in narrow} == {(bundle.digest, cut, True)}
    engine.step(narrow)
    assert all(one.decode_s > 0 and not one.segment_s for one in narrow)
    assert {one.place for one in passages} == {(bundle.digest, cut, False)}
    while not passages[0].ended:
        engine.step(passages)
    spec = bundle.manifest.boundaries[-1].tensors[0]
    for row, passage in enumerate(passages):
        outcome = engine.finish(passage)
        logits = codecs.decode(outcome.outputs[0], spec, limit_bytes=spec.nbytes)
        level_of = level if row % 3 else "lossless"
        assert logits.argmax() == calibration.answers[cut, level_of][row]


def test_every_change_of_a_narrow_frame_is_refused(bundle, place, tiny_samples) -> None:
    network, (cut, level) = Network(bundle), place
    (frame,) = network.encode(cut, level, network.run(0, cut, tiny_samples[:1].inputs)).frames
    for at in range(8 * len(frame)):
        changed = bytearray(frame)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(FrameError):
            network.decode(cut, [bytes(changed)], limit_bytes=1 << 16)
    for length in range(len(frame)):
        with pytest.raises(FrameError):
            network.decode(cut, [frame[:length]], limit_bytes=1 << 16)
    for frames in ([], [frame, frame]):
        with pytest.raises(FrameError):
            network.decode(cut, frames, limit_bytes=1 << 16)
    with pytest.raises(FrameError, match="not calibrated"):
        network.decode(cut - 1, [frame], limit_bytes=1 << 16)


def test_a_device_fetches_the_encoder_and_a_server_needs_the_decoder(
    bundle, int8, tiny_samples, tmp_path
) -> None:
    for whole, engine in ((bundle, "onnxruntime"), (int8, INT8)):
        part = device_part(whole.manifest, [BACKENDS[engine]])
        cut, level = _narrow(whole.manifest)[0]  # an int8 head may be cut elsewhere
        pair = whole.manifest.bottlenecks[cut]
        assert set(BACKENDS[engine].files(pair.encoder.folder)) & set(part)
        assert not any(name.startswith(pair.decoder.folder) for name in part)
        alone = Network(_part(whole, tmp_path / engine))
        assert alone.backend == engine
        values = alone.run(0, cut, tiny_samples[:1].inputs)
        frames = alone.encode(cut, level, values).frames
        with pytest.raises(BundleError, match=f"{pair.decoder.folder}"):
            alone.decode(cut, frames, limit_bytes=1 << 16)


@pytest.mark.parametrize("kind", ["whole", "part", "int8", "int8 part"])
def test_it_can_be_profiled_wherever_it_runs(kind, bundle, int8, tmp_path) -> None:
    """A device has no decoder; what that takes on a server is reckoned then."""
    chosen = int8 if "int8" in kind else bundle
    if "part" in kind:
        chosen = _part(chosen, tmp_path)
    profile = measure_profile(chosen, rounds=3)
    profile.check(chosen)
    for cut, level in _narrow(chosen.manifest):
        key = f"{cut}/{level}"
        assert profile.encode[key].median_s > 0
        assert profile.decode[key].median_s > 0
    if kind == "part":
        pair = chosen.manifest.bottlenecks[cut]
        behind = sum(segment.macs for segment in chosen.manifest.segments[cut:])
        least_s = profile.tail[cut].p10_s * pair.decoder.macs / behind
        assert profile.decode[key].median_s > least_s


def _part(whole, folder):
    """Return what a device fetches of a bundle."""
    head = INT8 if whole.manifest.quantised else "onnxruntime"
    for name in device_part(whole.manifest, [BACKENDS[head]]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(whole.path(name).read_bytes())
    return Bundle(whole.manifest, whole.digest, folder)


def test_a_server_takes_a_backend_that_has_the_decoders(bundle, place) -> None:
    boundaries = list(bundle.manifest.boundaries)
    pair = boundaries[place[0]].bottleneck
    files = {
        name: entry
        for name, entry in bundle.manifest.files.items()
        if name != BACKENDS["onnxruntime"].files(pair.decoder.folder)[0]
    }
    manifest = bundle.manifest.model_copy(update={"files": files})
    network = Network(replace(bundle, manifest=manifest))
    assert network.backend != "onnxruntime"
    try_out(network)


def test_the_limit_is_that_of_the_tensor_too(bundle, place, tiny_samples) -> None:
    network, (cut, level) = Network(bundle), place
    frames = network.encode(cut, level, network.run(0, cut, tiny_samples[:1].inputs)).frames
    nbytes = bundle.manifest.boundaries[cut].nbytes
    network.decode(cut, frames, limit_bytes=nbytes)
    with pytest.raises(FrameError, match="over the limit"):
        network.decode(cut, frames, limit_bytes=nbytes - 1)


def test_a_level_of_another_release_is_a_bundle_error(bundle, place) -> None:
    boundaries = list(bundle.manifest.boundaries)
    levels = {**boundaries[place[0]].levels, "learned9": ({},)}
    boundaries[place[0]] = boundaries[place[0]].model_copy(update={"levels": levels})
    manifest = bundle.manifest.model_copy(update={"boundaries": tuple(boundaries)})
    network = Network(replace(bundle, manifest=manifest))
    with pytest.raises(BundleError, match=r"learned9.*install a newer Offramp"):
        network.decode(place[0], [b"x"], limit_bytes=1 << 16)


def test_another_pair_is_another_shape(bundle, place) -> None:
    boundaries = list(bundle.manifest.boundaries)
    pair = boundaries[place[0]].bottleneck
    heavier = pair.encoder.model_copy(update={"macs": 2 * pair.encoder.macs})
    other = pair.model_copy(update={"encoder": heavier})
    boundaries[place[0]] = boundaries[place[0]].model_copy(update={"bottleneck": other})
    manifest = bundle.manifest.model_copy(update={"boundaries": tuple(boundaries)})
    assert same_shape(bundle.manifest, bundle.manifest)
    assert not same_shape(bundle.manifest, manifest)


def test_what_the_encoder_takes_counts(bundle, place, tiny_samples) -> None:
    manifest, (cut, _) = bundle.manifest, place
    pair, costs = manifest.bottlenecks[cut], count_macs(manifest)
    assert costs.encode == dict.fromkeys(_narrow(manifest), pair.encoder.macs)
    assert costs.at(manifest, place)[-1] == pytest.approx(
        costs.at(manifest, (cut, "lossless"))[-1] + pair.encoder.macs
    )
    bare = manifest.model_copy(
        update={"boundaries": tuple(b.model_copy(update={"bottleneck": None, "levels": {}})
                                    for b in manifest.boundaries)}
    )  # fmt: skip
    assert held_bytes(manifest, cut) > held_bytes(bare, cut)
    assert held_bytes(manifest, cut - 1) == held_bytes(bare, cut - 1)


def test_a_bundle_whose_decoder_gives_another_tensor_is_refused(bundle, place) -> None:
    try_out(Network(bundle))
    boundaries = list(bundle.manifest.boundaries)
    pair = boundaries[place[0]].bottleneck
    swapped = pair.model_copy(
        update={"decoder": pair.encoder, "latent": boundaries[place[0]].tensors[0]}
    )
    boundaries[place[0]] = boundaries[place[0]].model_copy(update={"bottleneck": swapped})
    manifest = bundle.manifest.model_copy(update={"boundaries": tuple(boundaries)})
    with pytest.raises(BundleError, match="where its manifest says"):
        try_out(Network(replace(bundle, manifest=manifest)))


def test_a_manifest_with_a_bottleneck_of_no_tensor_is_none(bundle, place) -> None:
    plain = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
    pair = bundle.manifest.bottlenecks[place[0]]
    for at, tensor in ((place[0], "nowhere"), (0, bundle.manifest.boundaries[0].tensors[0].name)):
        boundaries = list(bundle.manifest.boundaries)
        wrong = pair.model_copy(update={"tensor": tensor})
        boundaries[at] = boundaries[at].model_copy(update={"bottleneck": wrong})
        with pytest.raises(ValueError, match=f"bottleneck at boundary {at}"):
            Manifest(**{**plain, "boundaries": tuple(boundaries)})


def test_inspect_shows_both_parts(bundle, place) -> None:
    said = CliRunner().invoke(inspect, [str(bundle.folder)]).output
    assert f"encoder at cut {place[0]}" in said
    assert f"decoder at cut {place[0]}" in said


@pytest.fixture(scope="module")
def profile(bundle, quick_to_send):
    return quick_to_send(bundle)


@pytest.mark.e2e
def test_a_device_sends_by_it_and_the_server_answers(
    bundle, place, quick_to_send, with_one_plan, serve, tiny_samples, tmp_path
) -> None:
    limited = with_one_plan(bundle, place, tmp_path)
    count, profile = 24, quick_to_send(limited)
    np.savez(
        tmp_path / "s.npz",
        inputs=tiny_samples.inputs[0][:count],
        labels=tiny_samples.labels[:count],
    )
    (tmp_path / "profile.json").write_text(profile.model_dump_json())
    options = ("--server", serve(limited.folder).address, "--rate", 10)
    lines = lines_of(start(limited.folder, tmp_path / "s.npz", tmp_path / "profile.json", *options))
    results = lines["result"]
    assert len(results) == count
    assert collections.Counter(r["by"] for r in results)["server"] >= count / 2, lines["plan"]
    recorded = load_calibration(limited).answers[place]
    for result in results:
        if result["by"] == "server":
            assert (result["cut"], result["level"]) == place
            assert result["answer"] == recorded[result["id"]]
