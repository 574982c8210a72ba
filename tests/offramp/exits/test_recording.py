"""What is recorded of a network is what its exits say, once and in the samples' order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import Bundle
from offramp.calibration import Calibration
from offramp.errors import InputError
from offramp.exits import Evidence
from offramp.exits.evidence import summarise
from offramp.exits.recording import costs_of, record
from offramp.network import Network
from offramp.samples import LabelledSamples


@pytest.fixture(scope="module")
def recorded(tiny: Bundle, tiny_samples: LabelledSamples) -> Evidence:
    return record(Network(tiny), tiny_samples)


def test_logits_are_those_of_calibration_over_their_temperature(
    recorded: Evidence, tiny: Bundle, tiny_calibration: Calibration, tiny_samples: LabelledSamples
) -> None:
    (spec,) = tiny.manifest.exits
    expected = tiny_calibration.exit_logits[0] / spec.temperature
    np.testing.assert_allclose(recorded.logits[0], expected, atol=1e-4)
    final = tiny_calibration.final_logits / tiny.manifest.temperature
    np.testing.assert_allclose(recorded.recorded.final_logits, final, atol=1e-4)
    np.testing.assert_array_equal(recorded.recorded.labels, tiny_samples.labels)
    assert recorded.right[-1].mean() == tiny_calibration.accuracy


def test_states_are_the_exits_tensor_averaged_over_space(
    recorded: Evidence, tiny: Bundle, tiny_samples: LabelledSamples
) -> None:
    (spec,) = tiny.manifest.exits
    at = [tensor.name for tensor in tiny.manifest.boundaries[spec.boundary].tensors]
    tensors = Network(tiny).run(0, spec.boundary, tiny_samples.inputs)
    expected = tensors[at.index(spec.tensor)].mean(axis=(2, 3))
    np.testing.assert_allclose(recorded.states[0], expected, atol=1e-5)
    np.testing.assert_array_equal(recorded.summary, summarise(tiny_samples.inputs))


def test_costs_count_the_segments_and_exits_on_the_way(tiny: Bundle) -> None:
    (spec,) = tiny.manifest.exits
    macs = [segment.macs for segment in tiny.manifest.segments]
    expected = [sum(macs[: spec.boundary]) + spec.macs, sum(macs) + spec.macs]
    assert costs_of(tiny.manifest).tolist() == expected


def test_samples_that_the_model_does_not_take_are_refused(
    tiny: Bundle, tiny_samples: LabelledSamples
) -> None:
    network = Network(tiny)
    with pytest.raises(InputError, match="must be uint8"):
        record(network, LabelledSamples((np.zeros((2, 8, 8, 3)),), np.zeros(2, np.int64)))
    with pytest.raises(InputError, match="no samples"):
        record(network, tiny_samples[:0])


def test_an_answer_that_is_no_class_has_no_exits_to_record(
    tiny: Bundle, tiny_samples: LabelledSamples
) -> None:
    network = Network(tiny)
    manifest = tiny.manifest.model_copy(update={"answer": "tensor"})
    network.bundle = replace(tiny, manifest=manifest, folder=Path("nowhere"))
    with pytest.raises(InputError, match="answers with a tensor"):
        record(network, tiny_samples)
