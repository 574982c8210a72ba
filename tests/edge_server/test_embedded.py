"""The bundle that comes with Offramp, on every backend."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from edge_server.engine import Engine
from offramp import backends, codecs
from offramp.bundle import open_bundle
from offramp.messages import Request
from offramp.network import Network

BUNDLE = Path(str(files("offramp.embedded"))) / "cluttered_digits.offramp"
LIMIT_BYTES = 1 << 24


@pytest.mark.skipif(not BUNDLE.exists(), reason="the embedded bundle is not built")
@pytest.mark.parametrize("backend", [b.name for b in backends.installed() if b.ready_at_once])
def test_every_cut_equals_the_whole_model(
    backend: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFRAMP_CACHE", str(cache))
    network = Network(open_bundle(BUNDLE), backend)
    engine = Engine([network], LIMIT_BYTES)
    bundle = network.bundle
    values = [array[:1] for array in bundle.examples]
    (whole,) = network.run(0, network.depth, values)
    (spec,) = bundle.manifest.boundaries[-1].tensors
    for cut in range(network.depth):
        frames = tuple(codecs.encode(codecs.get("lossless"), array[0]) for array in values)
        request = Request(1, bundle.digest, cut, frames)
        engine.check(request)
        outcome = engine.run(request, float("inf"))
        found = codecs.decode(outcome.outputs[0], spec, limit_bytes=LIMIT_BYTES)
        np.testing.assert_allclose(found, whole[0], rtol=0, atol=1e-5)
        assert len(outcome.segment_s) == network.depth - cut
        values = network.run_segment(cut, values)
