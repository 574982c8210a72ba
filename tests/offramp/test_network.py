"""A network on inputs that its engine cannot compute with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from offramp.bundle import open_bundle
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.errors import InputError
from offramp.network import Network
from offramp.samples import Samples


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_a_word_beyond_the_vocabulary_is_an_error_of_the_input(
    backend: str, tmp_path: Path, exported_once: None
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Linear(32, 3))
    words = np.random.default_rng(0).integers(0, 10, (6, 4))
    path = tmp_path / "m.offramp"
    compile_model(model, None, path, CompileOptions("m"), examples=Samples((words,)))
    network = Network(open_bundle(path), backend)
    network.run(0, network.depth, [words])
    with pytest.raises(InputError, match=rf"^{backend} cannot run segments 0 to 0 on this sample"):
        network.run(0, network.depth, [words + 100])
