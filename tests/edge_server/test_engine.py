from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_server.engine import Engine
from edge_server.fusing import TailFusing
from offramp import codecs
from offramp.bundle import Bundle
from offramp.errors import BundleError, FrameError, InputError, UnknownBundleError
from offramp.fusing import FUSE_AFTER
from offramp.messages import Answer
from offramp.network import Network
from offramp.tensors import TensorSpec
from tests.edge_server.alone import run_alone


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.parametrize("codec", ["raw", "lossless"])
def test_every_cut_equals_the_whole_model(
    engine: Engine, sample: Any, cut: int, codec: str
) -> None:
    request = sample.request(cut, codec=codec)
    engine.check(request)
    outcome = run_alone(engine, request)
    sample.check(Answer(1, outcome.outputs))
    assert len(outcome.segment_s) == 3 - cut
    assert min(outcome.decode_s, outcome.encode_s, *outcome.segment_s) >= 0


def test_a_tail_that_is_asked_for_again_and_again_runs_as_one(
    network: Network, sample: Any
) -> None:
    network, fusing = Network(network.bundle), TailFusing()
    started = []
    for cut in [1] * (FUSE_AFTER - 1) + [2] * (FUSE_AFTER + 5):
        if thread := fusing.observe(network, cut):
            started.append(cut)
            thread.join(30)
    assert started == [2]
    fusing.observe(network, 1)
    engine = Engine([network], 1 << 20)
    network.fuse((1, 3))
    for cut, steps in ((1, 1), (2, 1), (0, 2)):
        outcome = run_alone(engine, sample.request(cut))
        sample.check(Answer(1, outcome.outputs))
        assert len(outcome.segment_s) == steps


def test_fifty_requests_from_one_cut_have_its_tail_fused(network: Network, sample: Any) -> None:
    engine = Engine([Network(network.bundle)], 1 << 20)
    for _ in range(FUSE_AFTER):
        run_alone(engine, sample.request(1))
    for thread in threading.enumerate():
        if thread.name == "fuse":
            thread.join(30)
    outcome = run_alone(engine, sample.request(1))
    assert len(outcome.segment_s) == 1
    sample.check(Answer(1, outcome.outputs))


def test_each_bundle_gives_its_own_answer(
    engine: Engine, other_network: Network, sample: Any, sample_of: Callable[..., Any]
) -> None:
    other = sample_of(other_network)
    for each in (sample, other):
        each.check(Answer(1, run_alone(engine, each.request(1)).outputs))
    assert sample.digest != other.digest
    assert not np.array_equal(sample.tensors[-1][0], other.tensors[-1][0])


def test_times_are_exact_on_the_engines_clock(network: Network, sample: Any) -> None:
    ticks = iter([1.0, 1.5, 2.0, 3.0, 3.5, 5.5, 6.0, 10.0])
    engine = Engine([network], 1 << 20, clock=lambda: next(ticks))
    outcome = run_alone(engine, sample.request(1))
    assert (outcome.decode_s, outcome.segment_s, outcome.encode_s) == (0.5, (1.0, 2.0), 4.0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"digest": "ab" * 32}, UnknownBundleError, "bundle abababababab is not loaded here"),
        ({"cut": 3}, InputError, "cut 3 is out of range; .* cuts 0 to 2"),
        ({"cut": 4_294_967_295}, InputError, "out of range"),
        ({"cut": 2}, InputError, "1 frames for cut 2; its boundary has 2 tensors"),
        ({"frames": (b"x",) * 256}, InputError, "256 frames for cut 0"),
    ],
)
def test_check_refuses(
    engine: Engine, sample: Any, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        engine.check(replace(sample.request(0), **changes))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"garbage that is no frame",
        codecs.encode(codecs.get("raw"), np.zeros((6, 6, 4), np.uint8)),
        codecs.encode(codecs.get("raw"), np.zeros((6, 6, 3), np.float32)),
    ],
)
def test_run_refuses_frames_of_other_tensors(engine: Engine, sample: Any, frame: bytes) -> None:
    with pytest.raises(FrameError):
        run_alone(engine, replace(sample.request(0), frames=(frame,)))


def test_run_refuses_tensors_over_the_limit(network: Network, sample: Any) -> None:
    with pytest.raises(FrameError, match="over the limit"):
        run_alone(Engine([network], 1024), sample.request(1))


def test_altered_byte_is_refused(engine: Engine, sample: Any) -> None:
    request = sample.request(1)
    altered = bytearray(request.frames[0])
    altered[40] ^= 1
    with pytest.raises(FrameError, match="checksum"):
        run_alone(engine, replace(request, frames=(bytes(altered),)))


def test_bundle_that_does_not_give_what_it_states_is_refused_at_the_start(
    tmp_path: Path, write_tiny: Callable[..., Bundle]
) -> None:
    bundle = write_tiny(
        tmp_path / "x.offramp", "lies", seed=1, output=TensorSpec("logits", "float32", (11,))
    )
    with pytest.raises(BundleError, match=r"'lies' gives .*10.* where its manifest says .*11"):
        Engine([Network(bundle)], 1 << 20)


def test_bundle_that_fails_to_run_is_refused_at_the_start(
    gated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(at: int, tensors: Any) -> None:
        raise RuntimeError("no such\nkernel")

    monkeypatch.setattr(gated, "run_segment", fail)
    with pytest.raises(BundleError, match="'tiny' does not run \\(no such kernel\\)"):
        Engine([gated], 1 << 20)
