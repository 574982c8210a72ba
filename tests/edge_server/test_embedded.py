"""The bundle that comes with Offramp, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from edge_server.engine import Engine
from offramp import backends, codecs
from offramp.bundle import Bundle
from offramp.messages import Request
from offramp.network import Network
from tests.edge_server.alone import run_alone

LIMIT_BYTES = 1 << 24


EXACT = [b.name for b in backends.installed() if b.ready_at_once and b.exact]


@pytest.mark.parametrize("backend", EXACT)
def test_every_cut_equals_the_whole_model(backend: str, embedded: Bundle) -> None:
    network = Network(embedded, backend)
    engine = Engine([network], LIMIT_BYTES)
    values = [array[:1] for array in embedded.examples]
    (whole,) = network.run(0, network.depth, values)
    (spec,) = embedded.manifest.boundaries[-1].tensors
    for cut in range(network.depth):
        frames = tuple(codecs.encode(codecs.get("lossless"), array[0]) for array in values)
        request = Request(1, embedded.digest, cut, frames)
        engine.check(request)
        outcome = run_alone(engine, request)
        found = codecs.decode(outcome.outputs[0], spec, limit_bytes=LIMIT_BYTES)
        np.testing.assert_allclose(found, whole[0], rtol=0, atol=1e-5)
        assert len(outcome.segment_s) == network.depth - cut
        values = network.run_segment(cut, values)
