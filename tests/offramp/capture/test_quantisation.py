"""Int8 heads: what is in them, what is recorded of them, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from offramp import codecs
from offramp.bundle import Bundle, open_bundle
from offramp.bundle.archive import list_files
from offramp.calibration import load_calibration
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.quantisation import quantise, split_samples
from offramp.capture.quantised_cost import measure_cost
from offramp.embedded.cluttered_digits import load
from offramp.errors import CaptureError
from offramp.network import Network
from offramp.samples import LabelledSamples
from tests.offramp.capture.test_compiler import Forked, _forked_samples
from tests.offramp.capture.test_exporters import Bessel

INT8 = "onnxruntime_int8"


def _samples(count: int) -> LabelledSamples:
    return LabelledSamples((np.arange(count, dtype=np.float32)[:, None],), np.arange(count))


@pytest.mark.parametrize(
    ("count", "ranges"), [(8, 2), (9, 3), (400, 100), (800, 200), (801, 161), (5000, 200)]
)
def test_every_fourth_sample_sets_ranges_and_the_others_calibrate(count: int, ranges: int) -> None:
    first, second = split_samples(_samples(count))
    assert len(first) == ranges
    assert sorted([*first.labels, *second.labels]) == list(range(count))
    assert len(set(np.diff(first.labels))) == 1  # evenly spread: samples may come sorted
    np.testing.assert_array_equal(second.inputs[0][:, 0], second.labels)


def test_too_few_samples_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    lines: list[str] = []
    options, path = CompileOptions("m", int8=True), tmp_path / "m.offramp"
    for samples in (None, _samples(7)):
        with pytest.raises(CaptureError) as caught:
            compile_model(Bessel(), samples, path, options, report=lines.append)
        assert str(caught.value) == (
            "an int8 head needs 8 held-out samples or more; give them with --data"
        )
    assert lines == []
    assert list(tmp_path.iterdir()) == []


def test_what_onnx_lacks_cannot_be_quantised(tmp_path: Path, exported_once: None) -> None:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    samples = LabelledSamples((x,), np.arange(8) % 3)
    with pytest.raises(CaptureError, match=r"segments/0. has no onnxruntime program .*bessel_j0"):
        compile_model(Bessel(), samples, tmp_path / "m", CompileOptions("m", int8=True))
    assert list(tmp_path.iterdir()) == []


class Masked(nn.Module):
    """One of its classes is ruled out."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(x) + torch.tensor([0.0, 0.0, -torch.inf])


def test_what_is_infinite_cannot_be_quantised(tmp_path: Path, exported_once: None) -> None:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    samples = LabelledSamples((x,), np.arange(8) % 2)
    with pytest.raises(CaptureError, match="compile without --int8") as caught:
        compile_model(Masked(), samples, tmp_path / "m", CompileOptions("m", int8=True))
    assert "\n" not in str(caught.value)


def test_weights_keep_to_seven_bits_so_that_no_processor_saturates(tiny_int8: Bundle) -> None:
    kernels = 0
    for program in tiny_int8.manifest.programs:
        graph = onnx.load(str(tiny_int8.path(f"{program.folder}/int8.onnx"))).graph
        for one in graph.initializer:
            array = onnx.numpy_helper.to_array(one)
            if array.dtype == np.int8 and array.ndim > 1:
                kernels += 1
                assert np.abs(array.astype(int)).max() == 64, "a channel uses the whole range"
                assert 2 * 255 * np.abs(array.astype(int)).max() < 1 << 15
    assert kernels == 5  # three convolutions, the answer and the exit


def test_a_boundary_is_as_before_in_dtype_shape_and_close_in_value(tiny_int8: Bundle) -> None:
    exact, ours = Network(tiny_int8), Network(tiny_int8, INT8)
    assert exact.backend == "onnxruntime"
    for cut in tiny_int8.cuts:
        theirs = exact.run(0, cut, tiny_int8.examples)
        for mine, other in zip(ours.run(0, cut, tiny_int8.examples), theirs, strict=True):
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
            assert np.abs(mine - other).max() < 0.1 * np.abs(other).max()
    assert (ours.run(0, 3, tiny_int8.examples)[0] != theirs[0]).any(), "they are the same programs"


def test_fused_segments_answer_exactly_as_they_do_one_by_one(tiny_int8: Bundle) -> None:
    network = Network(tiny_int8, INT8)
    expected = network.run(0, 3, tiny_int8.examples)[0]
    for stops in ((0, 3), (0, 1, 3), (1, 3)):
        network.fuse(stops)
        np.testing.assert_array_equal(network.run(0, 3, tiny_int8.examples)[0], expected)


def test_calibration_is_of_int8_heads_and_float_tails_on_samples_that_set_no_range(
    tiny_int8: Bundle, tiny_samples: LabelledSamples
) -> None:
    head, tail = Network(tiny_int8, INT8), Network(tiny_int8)
    _, held_out = split_samples(tiny_samples)
    calibration = load_calibration(tiny_int8)
    np.testing.assert_array_equal(calibration.labels, held_out.labels)
    logits = head.exit_logits(0, head.run(0, 1, held_out.inputs))
    np.testing.assert_allclose(calibration.exit_logits[0], logits, atol=1e-5)
    np.testing.assert_allclose(
        calibration.final_logits, head.run(0, 3, held_out.inputs)[0], atol=1e-5
    )
    few = held_out[:10]
    for cut, level in calibration.levels:
        boundary = tiny_int8.manifest.boundaries[cut]
        for row, sample in enumerate(zip(*head.run(0, cut, few.inputs), strict=True)):
            frames = head.encode(cut, level, [array[None] for array in sample]).frames
            received, _ = tail.decode(cut, frames, limit_bytes=boundary.nbytes)
            answer = tail.run(cut, 3, received)[0].argmax()
            assert calibration.answers[cut, level][row] == answer, (cut, level)


def test_the_cost_in_the_manifest_is_that_of_the_programs(
    tiny_int8: Bundle, tiny_samples: LabelledSamples
) -> None:
    cost = tiny_int8.manifest.quantised
    assert cost is not None
    ranges, held_out = split_samples(tiny_samples)
    assert (cost.backend, cost.range_samples, cost.samples) == (INT8, len(ranges), len(held_out))
    found = {}
    for name in ("onnxruntime", INT8):
        network = Network(tiny_int8, name)
        logits = network.exit_logits(0, network.run(0, 1, held_out.inputs))
        found[name] = [logits, network.run(0, 3, held_out.inputs)[0]]
    exact, ours = found["onnxruntime"], found[INT8]
    for one, theirs, mine in zip(cost.accuracies, exact, ours, strict=True):
        assert one.exact == np.mean(theirs.argmax(1) == held_out.labels)
        assert one.quantised == np.mean(mine.argmax(1) == held_out.labels)
    assert [one.name for one in cost.accuracies] == ["first", "whole model"]
    assert cost.same_share == np.mean(ours[1].argmax(1) == exact[1].argmax(1))
    largest = np.abs(exact[1]).max()
    assert cost.max_relative_difference == pytest.approx(
        np.abs(ours[1] - exact[1]).max() / largest, rel=1e-3
    )
    assert 0 < cost.mean_relative_difference < cost.max_relative_difference < 0.3
    files = tiny_int8.manifest.files
    assert cost.quantised_bytes == sum(e.bytes for n, e in files.items() if "int8.onnx" in n)
    proofs = {proof.backend for proof in tiny_int8.manifest.proofs}
    assert proofs == {"onnxruntime", "torch"}  # int8 is not held to the model's own answers


def test_a_model_that_answers_with_a_tensor_is_faithful_or_not(
    tmp_path: Path, exported_once: None
) -> None:
    inputs = _forked_samples(12)
    samples = LabelledSamples(inputs.inputs, np.zeros(12, np.int64), keywords=inputs.keywords)
    path = tmp_path / "m.offramp"
    manifest = compile_model(Forked(True), samples, path, CompileOptions("m", int8=True))
    assert manifest.quantised is not None
    calibration = load_calibration(open_bundle(path))
    (whole,) = manifest.quantised.accuracies
    assert (whole.exact, whole.quantised) == (1.0, calibration.accuracy)
    lossless = [at for at in calibration.levels if at[0] == 0 and codecs.get(at[1]).lossless]
    assert lossless
    for at in lossless:
        assert not calibration.answers[at].any(), "the server's tail is the model itself"


@pytest.mark.models
def test_the_embedded_network_loses_little_and_is_a_quarter_as_large(
    embedded: Bundle, tmp_path: Path
) -> None:
    shutil.copytree(embedded.folder, tmp_path / "copy")
    copy = Bundle(embedded.manifest, embedded.digest, tmp_path / "copy")
    images, labels = load("calibration", 200)
    ranges, held_out = split_samples(LabelledSamples((images,), labels))
    files = quantise(copy, ranges, threads=1)
    listed = {**embedded.manifest.files, **list_files(files)}
    manifest = embedded.manifest.model_copy(update={"files": listed})
    cost = measure_cost(Bundle(manifest, copy.digest, copy.folder), held_out, len(ranges))
    assert all(one.cost_points <= 2 for one in cost.accuracies)
    assert cost.same_share >= 0.97
    assert cost.quantised_bytes < 0.3 * cost.exact_bytes
    assert quantise(copy, ranges, threads=1) == files  # equal samples give equal bytes
