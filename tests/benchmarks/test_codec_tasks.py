"""What `benchmarks.codec` measures of a plan with exits, and of a coder's limits."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.codec_limits import limits_of
from benchmarks.codec_tasks import measure_exits
from offramp import codecs
from offramp.bundle import Bundle
from offramp.codecs.effect import square_error
from offramp.exits import softmax
from offramp.network import Network
from offramp.samples import LabelledSamples


@pytest.mark.parametrize("noise", [0, 60])
def test_a_plan_with_exits_is_measured_sample_by_sample(
    tiny: Bundle, tiny_samples: LabelledSamples, noise: int
) -> None:
    added = np.random.default_rng(1).normal(0, noise, tiny_samples.inputs[0].shape)
    images = (tiny_samples.inputs[0] + added).clip(0, 255).astype(np.uint8)
    tiny_samples = LabelledSamples((images,), tiny_samples.labels)
    found = measure_exits(tiny, tiny_samples, drop=0.0, least_tail=0.0)
    assert found is not None
    assert (found.sent > 0) == (noise > 0)
    network, exits = Network(tiny), tiny.manifest.exits
    sizes, right, whole = [], [], []
    for row in range(len(tiny_samples)):
        values, answer = list(tiny_samples[row : row + 1].inputs), None
        label = int(tiny_samples.labels[row])
        whole.append(network.run(0, network.depth, values)[0].argmax() == label)
        for at in range(found.cut):
            values = network.run_segment(at, values)
            for number, spec in enumerate(exits):
                if spec.boundary == at + 1 and answer is None:
                    logits = network.exit_logits(number, values)
                    if softmax(logits, spec.temperature).max() >= found.threshold:
                        answer = int(logits.argmax())
        size = 0
        if answer is None:
            sent = network.encode(found.cut, found.level, values)
            received, _ = network.decode(found.cut, sent.frames, limit_bytes=1 << 20)
            answer = int(network.run(found.cut, network.depth, received)[0].argmax())
            size = sent.size_bytes
        sizes.append(size)
        right.append(answer == label)
    assert found.bytes == pytest.approx(np.mean(sizes), abs=0.2)
    assert found.sent == pytest.approx(np.mean(np.array(sizes) > 0))
    assert found.lost == pytest.approx(np.mean(whole) - np.mean(right))


def test_no_plan_keeps_what_cannot_be_kept(tiny: Bundle, tiny_samples: LabelledSamples) -> None:
    assert measure_exits(tiny, tiny_samples, drop=-1.0, least_tail=0.0) is None
    assert measure_exits(tiny, tiny_samples, drop=1.0, least_tail=2.0) is None


@pytest.mark.parametrize("name", ["context10", "coarse4", "learned2"])
def test_coded_size_lies_between_the_model_and_order_0(name: str) -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(120, 4, 12, 12)).cumsum(axis=3) / 3
    samples = np.maximum(rows, 0).astype("float32")
    codec = codecs.get(name).fit(samples, square_error(samples))
    limits = limits_of([codec], [samples])
    assert limits is not None
    assert limits.model < limits.coded < 1.03 * limits.model + 10
    assert limits.coded < limits.order_0
    learnt = codec.learnt  # type: ignore[attr-defined]
    codes = np.stack([learnt.codes(learnt.planes.view(one)) for one in samples])
    planes = codes.reshape(len(samples), learnt.planes.sides[0] + 1, -1)[:, :-1]
    assert limits.order_0 > 0
    assert len(np.unique(planes)) > 2


def test_what_is_not_coded_in_context_has_no_limits() -> None:
    samples = np.zeros((3, 4, 5), "float32")
    assert limits_of([codecs.get("lossless")], [samples]) is None
