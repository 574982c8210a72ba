"""A bundle's policy: stored, planned with, fetched by devices, and refused if it is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from offramp.backends import BACKENDS
from offramp.bundle import Bundle, FileEntry
from offramp.bundle.part import device_part
from offramp.calibration import FILE as CALIBRATION
from offramp.calibration import load_calibration, score_exits
from offramp.errors import BundleError
from offramp.exits import POLICIES, Evidence, FittedPolicy
from offramp.exits.evidence import as_logits
from offramp.exits.fitted import FILE, encode_parameters, load_policy
from offramp.exits.recording import record
from offramp.network import Network
from offramp.samples import LabelledSamples
from partitioner.candidates import build_candidates

WithPolicy = Callable[[Bundle, LabelledSamples, str, Path], Bundle]
FIELD = [name for name in POLICIES if name != "oracle"]


@pytest.mark.parametrize("name", FIELD)
def test_every_policy_but_the_oracle_lives_in_a_bundle(
    name: str, tiny: Bundle, tiny_samples: LabelledSamples, with_policy: WithPolicy, tmp_path: Path
) -> None:
    bundle = with_policy(tiny, tiny_samples, name, tmp_path / "b.offramp")
    policy, calibration = load_policy(bundle), load_calibration(bundle)
    assert policy.rule.name == bundle.manifest.policy == name
    stored = calibration.exit_scores is not None
    assert stored == (policy.rule.reads != {"logits"})
    part = device_part(bundle.manifest, [BACKENDS["onnxruntime"]])
    assert (FILE in part) == bool(policy.parameters)

    candidates = build_candidates(bundle, calibration, policy)
    scores = policy.scores(record(Network(bundle), tiny_samples))
    assert candidates.policy == name
    for cut, threshold, share in zip(
        candidates.cut, candidates.thresholds[:, 0], candidates.exit_shares[:, 0], strict=True
    ):
        expected = (scores[0] >= threshold - 1e-5).mean() if cut else 0
        assert share == pytest.approx(expected, abs=2 / len(tiny_samples)), (cut, threshold)
    assert candidates.thresholds.max() == 2
    assert (candidates.thresholds < 2).any()


def test_what_was_compiled_before_there_were_policies_has_confidence(embedded: Bundle) -> None:
    policy = load_policy(embedded)
    assert (policy.rule.name, policy.parameters) == ("confidence", {})
    calibration = load_calibration(embedded)
    assert calibration.exit_scores is None
    candidates = build_candidates(embedded, calibration, policy)
    grid = {0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, 2.0}
    assert set(candidates.thresholds.ravel()) <= grid
    pairs = zip(calibration.exit_logits, embedded.manifest.exits, strict=True)
    logits = tuple(as_logits(z, spec.temperature) for z, spec in pairs)
    scores = policy.scores(Evidence(logits))
    row = int(np.flatnonzero((candidates.thresholds < 2).all(axis=1))[0])
    share = (scores[0] >= candidates.thresholds[row, 0]).mean()
    assert candidates.exit_shares[row, 0] == share


@pytest.fixture(scope="module")
def gated(
    tiny: Bundle, tiny_samples: LabelledSamples, with_policy: WithPolicy, tmp_path_factory: Any
) -> Bundle:
    return with_policy(tiny, tiny_samples, "q_exit", tmp_path_factory.mktemp("q") / "b.offramp")


def altered(bundle: Bundle, folder: Path, arrays: dict[str, Any]) -> Bundle:
    (folder / FILE).write_bytes(encode_parameters(arrays))
    return Bundle(bundle.manifest, bundle.digest, folder)


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an array is missing": (lambda a: a.pop("0/head"), "there is no array '0/head'"),
    "an array is too short": (lambda a: a.update({"0/head": a["0/head"][:-1]}), "at exit 'first'"),
    "an array has one axis more": (lambda a: a.update({"0/head": a["0/head"][None]}), "at exit"),
    "integers": (lambda a: a.update({"0/head": a["0/head"].astype(int)}), "no finite number"),
    "not a number": (lambda a: a.update({"0/head": a["0/head"] * np.nan}), "no finite number"),
    "infinite": (lambda a: a.update({"0/shift": a["0/shift"] + np.inf}), "no finite number"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_parameters_that_do_not_fit_are_refused(name: str, gated: Bundle, tmp_path: Path) -> None:
    alter, reason = HOSTILE[name]
    arrays = load(gated.path(FILE).read_bytes())
    alter(arrays)
    with pytest.raises(BundleError, match=f"'q_exit' do not fit .*{reason}.*compile the model"):
        load_policy(altered(gated, tmp_path, arrays))


def test_a_file_that_is_no_safetensors_is_refused(gated: Bundle, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff" * 50)
    with pytest.raises(BundleError, match="cannot be read"):
        load_policy(Bundle(gated.manifest, gated.digest, tmp_path))


def test_numbers_that_numpy_has_not_are_refused(gated: Bundle, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    (tmp_path / FILE).write_bytes(save({"0/head": torch.zeros(3, dtype=torch.bfloat16)}))
    with pytest.raises(BundleError, match="holds numbers of kind 'BF16', which numpy has not"):
        load_policy(Bundle(gated.manifest, gated.digest, tmp_path))


def test_a_gate_that_is_too_wide_is_refused(gated: Bundle, tmp_path: Path) -> None:
    wide = {"0/inner": np.zeros((3, 20_000), np.float16), "0/outer": np.zeros((20_001, 2))}
    bundle = altered(changed(gated, policy="learned_gate"), tmp_path, wide)
    with pytest.raises(BundleError, match="a hidden layer of shape"):
        load_policy(bundle)


def test_a_policy_that_scores_nonsense_on_real_samples_is_refused(tiny: Bundle) -> None:
    """It passes the trial on zeros, where the confidence is 1 / 3; more is too much for a float."""
    gate = {"0/inner": np.zeros((5, 0)), "0/outer": np.zeros((5, 2))}
    gate["0/outer"][[0, -1], 0] = 1.7e308, 1.2e308
    policy = FittedPolicy(POLICIES["learned_gate"], gate)
    with pytest.raises(BundleError, match=r"gives scores outside \[0, 1\]; calibrate"):
        score_exits(tiny.manifest, load_calibration(tiny), policy)


def changed(bundle: Bundle, **fields: Any) -> Bundle:
    return Bundle(bundle.manifest.model_copy(update=fields), bundle.digest, bundle.folder)


def test_policies_that_no_device_can_run_are_refused(tiny: Bundle, gated: Bundle) -> None:
    with pytest.raises(BundleError, match="'oracle', which reads the right answers"):
        load_policy(changed(tiny, policy="oracle"))
    with pytest.raises(BundleError, match="'unheard', which this release does not know; install"):
        load_policy(changed(tiny, policy="unheard"))
    with pytest.raises(BundleError, match=r"'q_exit' do not fit .*there is no array"):
        load_policy(changed(tiny, policy="q_exit"))


@pytest.mark.parametrize("wrong", ["missing", "short", "above 1", "nan", "double"])
def test_scores_that_do_not_fit_are_refused(wrong: str, gated: Bundle, tmp_path: Path) -> None:
    arrays = gated.arrays(CALIBRATION)
    scores = arrays.pop("exit_scores")
    if wrong != "missing":
        arrays["exit_scores"] = {
            "short": scores[:, :-1],
            "above 1": scores + 1,
            "nan": scores * np.float32(np.nan),
            "double": scores.astype(np.float64),
        }[wrong]
    (tmp_path / CALIBRATION).write_bytes(encode_parameters(arrays))
    entry = FileEntry(bytes=1, sha256="0" * 64)
    bundle = changed(gated, files={**gated.manifest.files, CALIBRATION: entry})
    with pytest.raises(BundleError, match=r"exit_scores|do not fit together"):
        load_calibration(Bundle(bundle.manifest, bundle.digest, tmp_path))
