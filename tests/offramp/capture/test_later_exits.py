"""Compiling with enough samples opens later exits, and records what the server then answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from offramp.bundle import Bundle, Manifest
from offramp.bundle.later_lines import later_lines
from offramp.bundle.manifest import decode_manifest, encode_manifest
from offramp.calibration import FILE, load_calibration, score_exits
from offramp.capture.calibrate import calibrate, record_again
from offramp.errors import BundleError
from offramp.exits import FittedPolicy, get
from offramp.exits.later import margin_of
from offramp.guarantee.certificate import Promise
from offramp.guarantee.plans import choose_plans
from offramp.guarantee.wish import Wish
from offramp.network import Network
from offramp.samples import LabelledSamples

LIMIT_BYTES = 1 << 20


@pytest.fixture(scope="module")
def network(later: Bundle) -> Network:
    return Network(later)


def test_the_exit_behind_the_cut_is_open_at_every_level(later: Bundle) -> None:
    first, *others = later.manifest.boundaries
    assert first.later is not None
    assert set(first.later) == set(first.levels)
    assert all(boundary.later is None for boundary in others)
    leaves = load_calibration(later).leaves
    assert all(0.5 < np.mean(left == 0) < 1 for left in leaves.values())


def test_too_few_samples_open_none(tiny_compiled: tuple[Path, Manifest]) -> None:
    assert all(boundary.later is None for boundary in tiny_compiled[1].boundaries)


def test_a_compile_can_leave_them_all_closed(
    network: Network, later_samples: LabelledSamples
) -> None:
    fields, _, calibration = calibrate(
        network, network, later_samples, lambda line: None, later_exits=False
    )
    boundaries = fields["boundaries"]
    assert isinstance(boundaries, tuple)
    assert all(boundary.later is None for boundary in boundaries)
    assert not calibration.leaves


def test_recorded_answers_are_those_of_the_exit_or_the_end(
    later: Bundle, network: Network, later_samples: LabelledSamples
) -> None:
    """One sample after the other, each through its frames."""
    calibration, manifest = load_calibration(later), later.manifest
    (spec,) = manifest.exits
    for (cut, level), leaves in calibration.leaves.items():
        threshold = manifest.later_at(cut, level)[0]
        for at in range(0, 700, 10):
            sent = network.encode(cut, level, [later_samples.inputs[0][at : at + 1]])
            values, _ = network.decode(cut, sent.frames, limit_bytes=LIMIT_BYTES)
            values = network.run(cut, spec.boundary, values)
            logits = network.exit_logits(0, values)
            margin = float(margin_of(spec, logits)[0])
            if abs(margin - threshold) < 1e-4:
                continue
            assert leaves[at] == (0 if margin >= threshold else 1)
            if margin < threshold:
                logits = network.run(spec.boundary, network.depth, values)[0]
            assert calibration.answers[cut, level][at] == logits.argmax()


def test_no_right_answer_is_lost_in_the_balance(
    later: Bundle, network: Network, later_samples: LabelledSamples
) -> None:
    calibration, labels = load_calibration(later), later_samples.labels
    plain = later.manifest.model_copy(
        update={
            "boundaries": tuple(
                boundary.model_copy(update={"later": None})
                for boundary in later.manifest.boundaries
            )
        }
    )
    bare = Network(replace(later, manifest=plain))
    without, _ = record_again(bare, bare, later_samples, lambda line: None)
    assert not without.leaves
    for cut, level in calibration.leaves:
        fitted = (later.manifest.boundaries[cut].later or {})[level]
        now = int((calibration.answers[cut, level] == labels).sum())
        before = int((without.answers[cut, level] == labels).sum())
        assert now - before == fitted.better - fitted.worse >= 0


def test_recorded_again_the_same_samples_leave_alike(
    later: Bundle, network: Network, later_samples: LabelledSamples
) -> None:
    calibration = load_calibration(later)
    again, _ = record_again(network, network, later_samples, lambda line: None)
    assert again.levels == calibration.levels
    assert again.leaves.keys() == calibration.leaves.keys()
    for place, leaves in calibration.leaves.items():
        np.testing.assert_array_equal(again.leaves[place], leaves)
    for place, answers in calibration.answers.items():
        np.testing.assert_array_equal(again.answers[place], answers)


def test_a_manifest_with_later_exits_is_read_as_it_was_written(later: Bundle) -> None:
    data, digest = encode_manifest(later.manifest)
    assert decode_manifest(data, "here") == (later.manifest, digest)
    assert digest == later.digest


def test_a_manifest_without_them_does_not_speak_of_them(
    tiny_compiled: tuple[Path, Manifest],
) -> None:
    assert b'"later"' not in encode_manifest(tiny_compiled[1])[0]


@pytest.mark.parametrize("wrong", [2, -1, None])
def test_arrays_that_leave_where_no_exit_is_are_refused(
    later: Bundle, tmp_path: Path, wrong: int | None
) -> None:
    arrays = load_calibration(later).to_arrays()
    name = next(name for name in arrays if name.startswith("leaves/"))
    if wrong is None:
        del arrays[name]
    else:
        arrays[name] = np.where(arrays[name] == 0, np.int32(wrong), arrays[name])
    data = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
    (tmp_path / FILE).write_bytes(data)
    entry = later.manifest.files[FILE].model_copy(update={"bytes": len(data)})
    manifest = later.manifest.model_copy(update={"files": {**later.manifest.files, FILE: entry}})
    with pytest.raises(BundleError, match=r"do not fit together|lacks the array 'leaves"):
        load_calibration(Bundle(manifest, later.digest, tmp_path))


def test_what_is_answered_at_a_later_exit_does_not_pass_for_the_whole_models(later: Bundle) -> None:
    """A lossless cut has to pass a test then; without later exits it is allowed as it is."""
    manifest, calibration = later.manifest, load_calibration(later)
    wrong = dict.fromkeys(calibration.leaves, (calibration.labels + 1) % 3)
    calibration = replace(calibration, answers={**calibration.answers, **wrong})
    scores = score_exits(manifest, calibration, FittedPolicy(get("confidence")))
    wish = Wish(Promise(0.05, 0.9), "confidence")
    plans = choose_plans(manifest, calibration, scores, wish).plans
    lossless = {(plan.cut, plan.level) for plan in plans}
    assert (0, "lossless") not in lossless
    assert {(1, "lossless"), (2, "lossless"), (3, None)} <= lossless


def test_what_they_save_is_said(later: Bundle) -> None:
    (line,) = later_lines(later.manifest, load_calibration(later))
    assert line.startswith("cut 0: behind it exits answer 91% to 92% of the samples on the server")
    assert "at 3 codec levels" in line
