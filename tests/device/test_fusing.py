"""A head is fused when its cut has not changed for long, and gives the same answers then.

What it holds twice is let go, and comes back when a sample may need it.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest

from device.fusing import Fusing
from device.head import Head, Progress
from offramp.errors import BundleError
from offramp.fusing import FUSE_AFTER
from offramp.network import Network
from partitioner.candidates import CLOSED
from partitioner.plan import Plan


class _Network:
    """Notes what it is asked to fuse, and lets go of nothing."""

    def __init__(self, bundle: Any, error: Exception | None = None) -> None:
        self.bundle, self.error = bundle, error
        self.asked: list[tuple[int, ...]] = []

    def fuse(self, stops: tuple[int, ...]) -> None:
        self.asked.append(stops)
        if self.error:
            raise self.error

    def release(self, stops: tuple[int, ...]) -> bool:
        return False

    def released(self, start: int) -> set[int]:
        return set()


def _observe(fusing: Fusing, network: Any, cuts: list[int]) -> list[int]:
    """Return at which of the samples a thread began, once that has ended."""
    began = []
    for at, cut in enumerate(cuts):
        if thread := fusing.observe(network, cut):
            assert not thread.daemon  # the end of the process waits for it
            thread.join(10)
            began.append(at)
    return began


def test_only_a_cut_that_stays_is_fused_and_only_once(tiny: Any) -> None:
    network = _Network(tiny)
    cuts = (
        [3] * (FUSE_AFTER - 1) + [2] * (2 * FUSE_AFTER) + [0] * (2 * FUSE_AFTER) + [3] * FUSE_AFTER
    )
    assert _observe(Fusing(network), network, cuts) == [2 * FUSE_AFTER - 2, len(cuts) - 1]
    boundary = tiny.manifest.exits[0].boundary
    assert network.asked == [tuple(sorted({0, boundary, cut})) for cut in (2, 3)]


def test_a_process_that_ends_waits_for_a_head_that_is_being_fused(tiny: Any) -> None:
    def count() -> None:
        network = Network(tiny)
        fusing = Fusing(network)
        for _ in range(FUSE_AFTER):
            found.append(fusing.observe(network, 1))

    found: list[Any] = []
    computing = threading.Thread(target=count, daemon=True)  # as the agent's is
    computing.start()
    computing.join(60)
    assert not found[-1].daemon
    found[-1].join(60)


def test_a_head_that_cannot_be_fused_goes_on(tiny: Any) -> None:
    network = _Network(tiny, BundleError("the file is gone"))
    assert _observe(Fusing(network), network, [3] * FUSE_AFTER) == [FUSE_AFTER - 1]


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_fused_segments_answer_as_they_do_one_by_one(tiny: Any, backend: str) -> None:
    network = Network(tiny, backend)
    inputs = tiny.examples
    expected = {at: network.run(0, at, inputs) for at in range(1, network.depth + 1)}
    for stops in ((0, 3), (0, 1, 3), (0, 2), (1, 3)):
        network.fuse(stops)
        at, _ = network.step(stops[0], 3, expected.get(stops[0], inputs))
        assert at == stops[1]
        for stop, tensors in expected.items():
            found = network.run(0, stop, inputs)
            np.testing.assert_allclose(found[0], tensors[0], rtol=1e-5, atol=1e-5)
    network.fuse(())
    assert network.step(0, 3, inputs)[0] == 1


def test_what_is_fused_is_not_held_twice_and_comes_back_before_it_is_needed(embedded: Any) -> None:
    network = Network(embedded)
    fusing, depth = Fusing(network), network.depth
    lasts = [{stop - 1 for stop in embedded.manifest.stops(cut) if stop} for cut in (depth, 6)]
    steady = [depth] * (FUSE_AFTER + 2)
    assert _observe(fusing, network, steady) == [FUSE_AFTER - 1, FUSE_AFTER]
    assert network.released() == lasts[0] == {1, 3, 5, 7}
    assert _observe(fusing, network, [6, 6]) == [0]
    assert network.released() == lasts[1] == {1, 3, 5}  # a sample that is sent may need the last
    assert _observe(fusing, network, [3] * FUSE_AFTER) == [0, FUSE_AFTER - 1]
    assert network.released() == {1}  # a sample that is sent at another cut now needs the others


def test_nothing_is_let_go_as_long_as_its_head_is_not_fused(embedded: Any) -> None:
    class Slow(Network):
        slow = False

        def fuse(self, stops: Any) -> None:
            if not self.slow:
                super().fuse(stops)

    network = Slow(embedded)
    fusing = Fusing(network)
    _observe(fusing, network, [4] * (FUSE_AFTER + 1))
    assert network.released() == {1, 3}
    network.slow = True
    _observe(fusing, network, [3] * (2 * FUSE_AFTER))
    assert network.released() == {1}


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_segments_that_were_let_go_answer_wherever_a_run_begins(tiny: Any, backend: str) -> None:
    network = Network(tiny, backend)
    boundaries = [tiny.examples]
    for at in range(network.depth):
        boundaries.append(network.run_segment(at, boundaries[at]))
    network.fuse((0, 3))
    assert not network.release((0, 2))
    assert network.release((0, 3))
    assert not network.release((0, 3))
    for start in range(network.depth):
        for stop in range(start + 1, network.depth + 1):
            found = network.run(start, stop, boundaries[start])
            np.testing.assert_allclose(found[0], boundaries[stop][0], rtol=1e-5, atol=1e-5)
    assert not network.released()  # it was loaded when it was run


def test_heads_of_every_cut_run_without_what_was_let_go(tiny: Any) -> None:
    """A sample never waits for a segment: only one that comes from between loads it."""
    network = Network(tiny)
    for stops in ((0, 2), (0, 3), (0, 2), (0, 1, 3)):
        network.fuse(stops)
        assert network.release(stops)
        for cut in tiny.cuts:
            network.run(0, cut, tiny.examples)
        assert not network.release(stops)
        assert network.released()


def test_a_sample_that_is_sent_in_vain_after_a_change_of_plan_is_answered(
    embedded: Any, make_profile: Any
) -> None:
    manifest, depth = embedded.manifest, len(embedded.manifest.segments)
    encode_s = {f"{cut}/lossless": 1e-4 for cut in range(depth)}
    times_s = [1e-4] * (depth + 1), [1e-4] * len(manifest.exits)
    network = Network(embedded)
    head = Head([network] * (depth + 1), make_profile(embedded.digest, *times_s, encode_s, {}))
    example = [array[:1] for array in embedded.examples]
    expected = Network(embedded).run(0, depth, example)[0]

    def run(cut: int, level: str | None) -> Progress:
        plan = Plan(cut, level, "confidence", (CLOSED,) * manifest.exits_before(cut))
        progress = Progress(list(example))
        head.run(progress, plan, math.inf, 1.0)
        return progress

    for _ in range(FUSE_AFTER + 1):
        run(depth, None)
        _join("fuse")
    assert network.released() == {1, 3, 5, 7}
    for cut in reversed(range(depth)):
        sent = run(cut, "lossless")
        assert sent.sent
        head.fall_back(sent, math.inf, 1.0)
        assert sent.final is not None
        np.testing.assert_allclose(sent.final, expected, rtol=1e-5, atol=1e-5)


def _join(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(60)


def test_a_head_is_loaded_without_its_single_segments(tiny: Any) -> None:
    whole, head = Network(tiny), Network(tiny, segments=range(0))
    head.fuse((0, 1, 2))
    np.testing.assert_array_equal(
        head.run(0, 2, tiny.examples)[0], whole.run(0, 2, tiny.examples)[0]
    )
