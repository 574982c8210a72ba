"""Calibrating: a bundle, given a policy and samples, gets the plans that devices may make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from offramp import exits
from offramp.bundle import Bundle, Manifest, write_bundle
from offramp.bundle.archive import make_manifest
from offramp.bundle.frontier import FILE as FRONTIER_FILE
from offramp.bundle.frontier import encode_frontier
from offramp.calibration import FILE as CALIBRATION_FILE
from offramp.calibration import Calibration, load_calibration
from offramp.errors import ConfigError
from offramp.exits.evidence import Evidence, Truth, as_logits
from offramp.exits.fitted import FILE as POLICY_FILE
from offramp.exits.fitted import encode_parameters
from offramp.exits.policy import ExitPolicy, FittedPolicy
from offramp.exits.recording import costs_of, record
from offramp.guarantee.device_costs import count_macs
from offramp.guarantee.plan_frontier import trace_plans
from offramp.guarantee.plans import choose_plans
from offramp.guarantee.wish import Wish
from offramp.network import Network
from offramp.references import call_reference
from offramp.samples import as_labelled

__all__ = ["Recording", "calibrate_bundle", "recorded"]

FITTING_SHARE = 0.3
"""The share of samples that a policy learns from, if it learns; the others calibrate."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Recording:
    """What samples do in a bundle: at every cut and codec level, and at every exit.

    The evidence lacks states and summary if the samples are those that the bundle came with.
    """

    calibration: Calibration
    evidence: Evidence


def recorded(bundle: Bundle, data: str | None, report: Report) -> Recording:
    """Run the samples of a user's data function, or take what the bundle recorded of its own."""
    if data is None:
        calibration = load_calibration(bundle)
        return Recording(calibration, _evidence(bundle.manifest, calibration))
    from offramp.capture.calibrate import record_again

    samples = as_labelled(call_reference(data))
    tail = Network(bundle)
    backend = bundle.manifest.head_backend
    head = Network(bundle, backend) if backend else tail
    return Recording(record_again(head, tail, samples, report), record(head, samples))


def calibrate_bundle(
    bundle: Bundle, recording: Recording, wish: Wish, out: Path
) -> tuple[Manifest, str]:
    """Fit the policy, choose plans and write the bundle with both; return manifest and digest.

    Raises `ConfigError` if the policy cannot be run or fitted so, `InputError` if the samples do
    not suffice, and `PlanError` if no plan keeps what is wished.
    """
    manifest = bundle.manifest
    rule = _check(manifest, recording.evidence, wish.policy)
    policy, rows = _fit(rule, recording.evidence, wish.seed)
    calibration = recording.calibration.select(rows)
    scores = policy.scores(recording.evidence[rows])
    allowed = choose_plans(manifest, calibration, scores, wish)
    kept = scores.astype(np.float32) if rule.reads != {"logits"} else None
    calibration = replace(calibration, exit_scores=kept)
    fields = {name: getattr(manifest, name) for name in Manifest.model_fields}
    files = {name: bundle.path(name).read_bytes() for name in fields.pop("files")}
    files.pop(POLICY_FILE, None)
    if policy.parameters:
        files[POLICY_FILE] = encode_parameters(policy.parameters)
    arrays = calibration.to_arrays().items()
    fields |= {"policy": rule.name, "allowed": allowed}
    made = make_manifest(fields, files)
    frontier = trace_plans(made, calibration, scores, wish.device or count_macs(manifest))
    files[FRONTIER_FILE] = encode_frontier(frontier)
    files[CALIBRATION_FILE] = save({key: np.ascontiguousarray(array) for key, array in arrays})
    return write_bundle(out, fields, files)


def _evidence(manifest: Manifest, calibration: Calibration) -> Evidence:
    pairs = zip(calibration.exit_logits, manifest.exits, strict=True)
    logits = tuple(as_logits(raw, spec.temperature) for raw, spec in pairs)
    final = as_logits(calibration.final_logits, manifest.temperature)
    return Evidence(logits, truth=Truth(calibration.labels, final, costs_of(manifest)))


def _check(manifest: Manifest, evidence: Evidence, name: str) -> ExitPolicy:
    rule = exits.get(name)
    if not manifest.exits:
        raise ConfigError(
            f"bundle {manifest.name!r} has no exits to calibrate; compile the model with --exit"
        )
    if "truth" in rule.reads:
        raise ConfigError(f"exit policy {name!r} reads the right answers; a device has none")
    if not rule.reads <= {"logits"} and not evidence.states:
        raise ConfigError(
            f"exit policy {name!r} reads {' and '.join(sorted(rule.reads))}, which the bundle's "
            "own samples were not recorded with; give samples with --data"
        )
    return rule


def _fit(rule: ExitPolicy, evidence: Evidence, seed: int) -> tuple[FittedPolicy, np.ndarray]:
    """Return the policy, fitted if it learns, and the samples that it has not learnt from."""
    count = len(evidence)
    order = np.random.default_rng(seed).permutation(count)
    fitting = int(count * FITTING_SHARE)
    parameters = rule.fit(evidence[order[:fitting]])
    rows = order[fitting:] if parameters else order
    return FittedPolicy(rule, parameters), np.sort(rows)
