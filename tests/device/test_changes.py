"""Samples of a camera that go as their change from one that the server keeps."""

import math
from dataclasses import replace

import numpy as np
import pytest

from device.head import Head, Progress
from device.latest import Kept, Latest
from edge_server.engine import Engine
from edge_server.history import History
from offramp import codecs
from offramp.calibration import load_calibration
from offramp.codecs.reference import WINDOW
from offramp.errors import FrameError, MissingReferenceError
from offramp.exits.policy import CLOSED
from offramp.messages import Request
from offramp.network import Network
from partitioner.plan import Plan
from tests.device.test_agent import check_all_answered, lines_of, start
from tests.edge_server.alone import run_alone

LIMIT_BYTES = 1 << 20
HISTORY_BYTES = 1 << 20


@pytest.fixture(scope="module")
def place(camera):
    known = Network(camera).codecs
    return next(
        (cut, level)
        for cut in camera.cuts[:-1]
        for level in known.levels(cut)
        if known.at(cut, level).writes_changes
    )


@pytest.fixture
def head(camera, quick_to_send, place):
    head = Head([Network(camera)] * len(camera.cuts), quick_to_send(camera))
    head.prepare()
    head.expect(Plan(*place, "confidence", ()), 60.0)
    return head


def sent_by(head, place, samples, row):
    """Return the request of one sample and what was kept of it."""
    progress = Progress(list(samples[row : row + 1].inputs))
    closed = (CLOSED,) * head.network.bundle.manifest.exits_before(place[0])
    head.run(progress, Plan(*place, "confidence", closed), math.inf, 1.0)
    digest, sent = head.network.bundle.digest, progress.sent
    request = Request(row, digest, place[0], sent.frames, 1.0, reference=progress.reference)
    return request, Kept(row, progress.number, place[0], sent.references)


def answer_of(outcome, bundle):
    spec = bundle.manifest.boundaries[-1].tensors[0]
    return codecs.decode(outcome.outputs[0], spec, limit_bytes=spec.nbytes)


def test_what_crosses_is_what_was_recorded_and_whole_frames_answer_the_same(
    camera, camera_samples, head, place
) -> None:
    engine, history = Engine([Network(camera)], LIMIT_BYTES), History(HISTORY_BYTES)
    calibration, changes = load_calibration(camera), 0
    for row in range(len(camera_samples)):
        request, kept = sent_by(head, place, camera_samples, row)
        changes += request.reference is not None
        outcome = run_alone(engine, request, history)
        assert outcome.kept
        head.latest.keep(kept)
        size_bytes = sum(map(len, request.frames))
        assert (size_bytes < calibration.sizes[place][row]) == (request.reference is not None)
        logits = answer_of(outcome, camera)
        assert logits.argmax() == calibration.answers[place][row]
        head.latest, latest = Latest(), head.latest
        whole = run_alone(engine, sent_by(head, place, camera_samples, row)[0])
        assert not whole.kept
        np.testing.assert_array_equal(answer_of(whole, camera), logits)
        head.latest = latest
    assert changes > len(camera_samples) / 2


def test_without_a_history_and_without_the_sample_a_change_is_refused(
    camera, camera_samples, head, place
) -> None:
    engine, history = Engine([Network(camera)], LIMIT_BYTES), History(HISTORY_BYTES)
    first, kept = sent_by(head, place, camera_samples, 0)
    run_alone(engine, first, history)
    head.latest.keep(kept)
    second, _ = sent_by(head, place, camera_samples, 1)
    assert second.reference == 0
    for given in (None, History(HISTORY_BYTES)):
        with pytest.raises(MissingReferenceError, match="whole"):
            run_alone(engine, second, given)
    with pytest.raises(MissingReferenceError, match="is not kept here; send this one whole"):
        run_alone(engine, replace(second, reference=None), history)
    with pytest.raises(FrameError):
        run_alone(engine, replace(second, frames=(second.frames[0][:-1],)), history)
    assert run_alone(engine, second, history).outputs


def test_the_head_refers_to_samples_of_the_same_cut_alone(camera_samples, head, place) -> None:
    first, kept = sent_by(head, place, camera_samples, 0)
    head.latest.keep(replace(kept, cut=place[0] + 1))
    assert sent_by(head, place, camera_samples, 1)[0].reference is None
    head.latest.forget()
    head.latest.keep(kept)
    assert sent_by(head, place, camera_samples, 1)[0].reference == first.id
    head.latest.forget()
    assert sent_by(head, place, camera_samples, 1)[0].reference is None


def test_answers_may_come_in_any_order() -> None:
    latest = Latest()
    for number in (3, 7, 5):
        latest.keep(Kept(number + 10, number, 1, ()))
    assert latest.at(1, 8).id == 17
    assert latest.at(2, 8) is None
    assert latest.at(1, 7 + WINDOW).id == 17
    assert latest.at(1, 8 + WINDOW) is None


@pytest.mark.e2e
def test_a_device_and_a_server_keep_up_with_each_other(
    camera, camera_samples, place, quick_to_send, with_one_plan, serve, tmp_path
) -> None:
    limited = with_one_plan(camera, place, tmp_path)
    np.savez(tmp_path / "s.npz", inputs=camera_samples.inputs[0], labels=camera_samples.labels)
    (tmp_path / "profile.json").write_text(quick_to_send(limited).model_dump_json())
    options = ("--server", serve(limited.folder).address, "--rate", 10)
    lines = lines_of(start(limited.folder, tmp_path / "s.npz", tmp_path / "profile.json", *options))
    results = lines["result"]
    assert len(results) == len(camera_samples)
    served = [r for r in results if r.get("by") == "server"]
    assert len(served) >= len(results) / 2, lines["plan"]
    calibration = load_calibration(limited)
    for result in served:
        assert (result["cut"], result["level"]) in (place, (place[0], "lossless"))
        assert result["answer"] == calibration.answers[place][result["id"]]
    network = Network(camera)
    (features,) = network.run(0, place[0], camera_samples.inputs)
    codec = network.codecs.at(*place)
    sizes = [codec.encode([one]).size_bytes for one in features]
    less = [r for r in served if r["sent_bytes"] < sizes[r["id"]]]
    assert len(less) > len(served) / 3
    loaded = [r for r in served if r["level"] == place[1]]
    assert all(r["sent_bytes"] <= sizes[r["id"]] for r in loaded)
    assert min(r["id"] for r in loaded) <= 30  # until it is there, they go losslessly
    assert all("reference" in r for r in less)


@pytest.mark.e2e
def test_a_new_server_is_sent_whole_samples_first(
    camera, camera_samples, place, quick_to_send, with_one_plan, serve, tmp_path
) -> None:
    limited = with_one_plan(camera, place, tmp_path)
    images = np.concatenate([camera_samples.inputs[0]] * 2)
    np.savez(tmp_path / "s.npz", inputs=images, labels=np.tile(camera_samples.labels, 2))
    (tmp_path / "profile.json").write_text(quick_to_send(limited).model_dump_json())
    server = serve(limited.folder)
    port = int(server.address.rpartition(":")[2])

    def restart():
        server.kill()
        serve(limited.folder, port)

    options = ("--server", server.address, "--rate", 10)
    process = start(limited.folder, tmp_path / "s.npz", tmp_path / "profile.json", *options)
    lines = lines_of(process, at_result=40, act=restart)
    results = lines["result"]
    check_all_answered(results, count=len(images))
    assert [one["up"] for one in lines["link"]] == [True, False, True]
    refused = [r["reason"] for r in results if "send this one whole" in r.get("reason", "")]
    assert len(refused) <= 1  # one that was under way when the stream opened again
    answers = load_calibration(limited).answers[place]
    late = [r for r in results if r["id"] > 90 and r.get("by") == "server"]
    assert late
    assert all(r["answer"] == answers[r["id"] % len(answers)] for r in late)
    assert min(r["sent_bytes"] for r in late) < 10
