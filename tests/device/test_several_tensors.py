"""A model with two inputs, two tensors at its cuts and an image for an answer, across processes."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from offramp.capture.compiler import CompileOptions, compile_model
from offramp.samples import Samples
from partitioner.profile_command import profile
from tests.device.test_agent import check_all_answered, lines_of, start

pytestmark = pytest.mark.e2e


class Painter(nn.Module):
    """Paints a picture over; how strongly is its second input, and the picture is needed last."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, picture, strength):
        x = torch.relu(self.second(torch.relu(self.first(picture))))
        x = x * strength[:, :, None, None]
        return {"painted": self.last(torch.cat([x, picture], 1))}


@pytest.fixture(scope="module")
def painter(tmp_path_factory, exported_once):
    torch.manual_seed(0)
    dice = np.random.default_rng(0)
    home = tmp_path_factory.mktemp("painter")
    inputs = (
        dice.random((12, 2, 9, 9), dtype=np.float32),
        dice.random((12, 6), dtype=np.float32),
    )
    model = Painter().eval()
    options = CompileOptions("painter", max_segments=3)
    manifest = compile_model(model, None, home / "p.offramp", options, examples=Samples(inputs))
    np.savez(home / "samples.npz", picture=inputs[0], strength=inputs[1])
    words = [str(home / "p.offramp"), "-o", str(home / "profile.json")]
    result = CliRunner().invoke(profile, words)
    assert result.exit_code == 0, result.output
    with torch.no_grad():
        painted = model(*map(torch.from_numpy, inputs))["painted"].numpy()
    return home, manifest, painted


@pytest.mark.parametrize("strategy", ["server_only", "fixed_split", "device_only"])
def test_wherever_it_is_cut_the_answer_is_the_models(painter, serve, strategy):
    home, manifest, painted = painter
    bundle = home / "p.offramp"
    assert max(len(b.tensors) for b in manifest.boundaries[1:-1]) > 1
    options = ["--strategy", strategy, "--server", serve(bundle).address, "--rate", 10]
    options += ["--deadline-ms", 2000, "--slowdown", 1]
    process = start(bundle, home / "samples.npz", home / "profile.json", *options)
    results = lines_of(process)["result"]
    check_all_answered(results, count=12)
    by = "device" if strategy == "device_only" else "server"
    assert [(r["by"], r.get("reason")) for r in results] == [(by, None)] * 12
    for result in results:
        found = np.array(result["answer"])
        assert np.linalg.norm(found - painted[result["id"]]) < 0.06 * np.linalg.norm(found)
