"""A bundle with an int8 head, across processes: int8 here, float there, and nothing else."""

import json
import subprocess

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from offramp.bundle import open_bundle
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.network import Network
from offramp.samples import LabelledSamples
from partitioner.profile_command import profile
from tests.device.test_fetch_processes import COMMAND, device, serving
from tests.device.test_several_tensors import Painter

pytestmark = pytest.mark.e2e

COUNT = 8


@pytest.fixture(scope="module")
def painter(tmp_path_factory, exported_once):
    """A folder with a bundle, samples and a profile of the device alone."""
    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("painter")
    dice = np.random.default_rng(0)
    shapes = (40, 2, 9, 9), (40, 6)
    inputs = tuple(dice.random(shape, dtype=np.float32) for shape in shapes)
    samples = LabelledSamples(inputs, np.zeros(40, np.int64))
    options = CompileOptions("painter", max_segments=3, int8=True)
    compile_model(Painter().eval(), samples, home / "p.offramp", options)
    np.savez(home / "samples.npz", picture=inputs[0][:COUNT], strength=inputs[1][:COUNT])
    words = "p.offramp --backend onnxruntime_int8 --threads 1 --rounds 3 -o profile.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        result = CliRunner().invoke(profile, words.split())
    assert result.exit_code == 0, result.output
    return home


def _answer(painter, bundle, head, result):
    """What should be answered to a sample whose head runs on a backend, as far as it does."""
    network, tail = Network(bundle, head), Network(bundle, "onnxruntime")
    with np.load(painter / "samples.npz") as samples:
        values = [samples[name][result["id"] :][:1] for name in ("picture", "strength")]
    if result["by"] == "device":
        return network.run(0, network.depth, values)[0][0]
    cut, boundary = result["cut"], bundle.manifest.boundaries[result["cut"]]
    frames = network.encode(cut, result["level"], network.run(0, cut, values)).frames
    received, _ = tail.decode(cut, frames, limit_bytes=boundary.nbytes)
    return tail.run(cut, tail.depth, received)[0][0]


@pytest.mark.parametrize(
    ("strategy", "by"),
    [("device_only", "device"), ("fixed_split", "server"), ("server_only", "server")],
)
def test_a_device_fetches_and_answers_with_the_int8_head_and_the_server_with_float_tails(
    painter, tmp_path, strategy, by
):
    options = ("--strategy", strategy, "--rate", 10, "--deadline-ms", 5000)
    with serving(painter / "p.offramp") as address:
        files = (painter / "samples.npz", painter / "profile.json")
        process = device(tmp_path, *files, *options, "--server", address)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    opening, *lines = map(json.loads, out.splitlines())
    bundle = open_bundle(painter / "p.offramp")
    assert opening["quantised"] == bundle.manifest.quantised.model_dump(mode="json")
    fetched = tmp_path / bundle.digest
    assert {p.name for p in fetched.glob("segments/*/*")} == {"int8.onnx"}
    results = [line for line in lines if line["kind"] == "result"]
    assert [r["by"] for r in results] == [by] * COUNT
    for result in results:
        assert strategy != "fixed_split" or 0 < result["cut"] < max(bundle.cuts)
        found = np.array(result["answer"])
        backends = ("onnxruntime_int8", "onnxruntime")
        expected, other = (_answer(painter, bundle, name, result) for name in backends)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert strategy == "server_only" or np.abs(found - other).max() > 1e-3


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("run {} --source samples.npz --backend onnxruntime", 8, "calibrated with heads on onnxr"),
        ("serve {} --backend onnxruntime_int8 --listen 127.0.0.1:0", 2, "is for heads, on devices"),
    ],
)
def test_each_side_refuses_the_others_backend(painter, words, status, said):
    command = [*COMMAND, *words.format("p.offramp").split()]
    done = subprocess.run(command, cwd=painter, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert said in last
    assert "Traceback" not in done.stderr
