"""Calibrating: a bundle, given a policy and samples, gets the plans that devices may make."""

from __future__ import annotations

import math
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
from offramp.errors import ConfigError, InputError
from offramp.exits.evidence import Evidence, Truth, as_logits, summarise
from offramp.exits.fitted import FILE as POLICY_FILE
from offramp.exits.fitted import encode_parameters
from offramp.exits.policy import ExitPolicy, FittedPolicy
from offramp.exits.recording import costs_of, record
from offramp.guarantee.certificate import CHOOSING_SHARE, LEARNING_SHARE, samples_needed
from offramp.guarantee.device_costs import count_macs
from offramp.guarantee.plan_frontier import trace_plans
from offramp.guarantee.plans import choose_plans
from offramp.guarantee.wish import Wish, find_room
from offramp.network import Network
from offramp.samples import LabelledSamples, check_inputs

__all__ = [
    "Recording",
    "calibrate_bundle",
    "check_count",
    "check_samples",
    "check_wish",
    "recorded",
]

Report = Callable[[str], None]


@dataclass(frozen=True)
class Recording:
    """What samples do in a bundle: at every cut and codec level, and at every exit.

    The evidence lacks states and summary if the samples are those that the bundle came with.
    ``lessons`` are what other samples showed, for a policy that is taught.
    """

    calibration: Calibration
    evidence: Evidence
    lessons: Evidence | None = None


def check_wish(manifest: Manifest, wish: Wish, bare: bool) -> ExitPolicy:
    """Return the policy that is wished; raise `ConfigError` if it cannot be calibrated.

    The evidence is ``bare`` if there are neither states nor summary.
    """
    rule, name = exits.get(wish.policy), wish.policy
    if not manifest.exits:
        raise ConfigError(
            f"bundle {manifest.name!r} has no exits to calibrate; compile the model with --exit"
        )
    if manifest.answer != "class":
        raise ConfigError(f"bundle {manifest.name!r} answers with a tensor; exits need classes")
    if "truth" in rule.reads:
        raise ConfigError(f"exit policy {name!r} reads the right answers; a device has none")
    if not rule.reads <= {"logits"} and bare:
        raise ConfigError(
            f"exit policy {name!r} reads {' and '.join(sorted(rule.reads))}, which the bundle's "
            "own samples were not recorded with; give samples with --data"
        )
    if wish.taught and not rule.learns:
        raise ConfigError(f"exit policy {name!r} learns nothing; leave out --policy-data")
    return rule


def check_count(manifest: Manifest, wish: Wish, given: int) -> None:
    """Raise `InputError` if so few samples can be seen to be too few before any are run."""
    rule = exits.get(wish.policy)
    learns = rule.learns and not wish.taught
    share, least = (LEARNING_SHARE, rule.min_samples) if learns else (CHOOSING_SHARE, 1)
    least = math.ceil(least / share)
    needed = f"at least {least}"
    if wish.promise is not None:
        places = len(find_room(manifest, wish).places) + 1
        least, most = (
            max(least, samples_needed(wish.promise.shared(count), learns=learns))
            for count in (1, places)
        )
        needed = f"at least {least}, and {most} to be sure for all {places} cuts and codec levels"
    if given < least:
        raise InputError(
            f"{given} calibration samples are too few for exit policy {wish.policy!r} and what is "
            f"asked of it; give {needed}"
        )


def check_samples(manifest: Manifest, samples: LabelledSamples) -> None:
    """Raise `InputError`, before they are run, on samples that are not the model's."""
    check_inputs(samples.inputs, manifest.boundaries[0].tensors)
    for spec, array in zip(manifest.boundaries[0].tensors, samples.inputs, strict=True):
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if not finite.all():
            at = int(finite.argmin())
            kind = "NaN" if np.isnan(array[at]).any() else "infinity"
            raise InputError(
                f"input {spec.name!r} holds {kind} for sample {at}; correct the sample, or leave "
                "it out"
            )
    classes = math.prod(manifest.boundaries[-1].tensors[0].shape)
    if (largest := int(samples.labels.max())) >= classes:
        raise InputError(f"label {largest} is out of range; there are {classes} classes")


def recorded(
    bundle: Bundle,
    samples: LabelledSamples | None,
    report: Report,
    lessons: LabelledSamples | None = None,
) -> Recording:
    """Run a user's samples, or take what the bundle recorded of its own.

    ``lessons`` are samples that the policy learns from.
    """
    taught = None
    if lessons is not None:
        report(f"running {len(lessons)} samples for the exit policy")
        taught = record(_networks(bundle)[0], lessons)
    if samples is None:
        calibration = load_calibration(bundle)
        return Recording(calibration, _evidence(bundle.manifest, calibration), taught)
    from offramp.capture.calibrate import record_again

    calibration, states = record_again(*_networks(bundle), samples, report)
    seen = _evidence(bundle.manifest, calibration)
    seen = replace(seen, states=states, summary=summarise(samples.inputs))
    return Recording(calibration, seen, taught)


def calibrate_bundle(
    bundle: Bundle, recording: Recording, wish: Wish, out: Path
) -> tuple[Manifest, str]:
    """Fit the policy, choose plans and write the bundle with both; return manifest and digest.

    Raises `ConfigError` if the policy cannot be run or fitted so, `InputError` if the samples do
    not suffice or are not all finite, and `PlanError` if no plan keeps what is wished.
    """
    manifest, evidence = bundle.manifest, recording.evidence
    rule = check_wish(manifest, wish, bare=not evidence.states)
    check_count(manifest, wish, len(evidence))
    evidence.check()
    policy, rows = _fit(rule, recording, wish.seed)
    calibration, scores = recording.calibration.select(rows), policy.scores(evidence[rows])
    kept = scores.astype(np.float32) if rule.reads != {"logits"} else None
    calibration = replace(calibration, exit_scores=kept)
    if kept is not None:  # what is stored is what is tested
        scores = kept.astype(np.float64)
    allowed = choose_plans(manifest, calibration, scores, wish, len(evidence) - len(rows))
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


def _networks(bundle: Bundle) -> tuple[Network, Network]:
    """Return what the device runs, and what the server does."""
    tail, backend = Network(bundle), bundle.manifest.head_backend
    return Network(bundle, backend) if backend else tail, tail


def _evidence(manifest: Manifest, calibration: Calibration) -> Evidence:
    pairs = zip(calibration.exit_logits, manifest.exits, strict=True)
    logits = tuple(as_logits(raw, spec.temperature) for raw, spec in pairs)
    final = as_logits(calibration.final_logits, manifest.temperature)
    return Evidence(logits, truth=Truth(calibration.labels, final, costs_of(manifest)))


def _fit(rule: ExitPolicy, recording: Recording, seed: int) -> tuple[FittedPolicy, np.ndarray]:
    """Return the policy, fitted if it learns, and the samples that it has not learnt from."""
    evidence, count = recording.evidence, len(recording.evidence)
    if not rule.learns:
        return FittedPolicy(rule), np.arange(count)
    if recording.lessons is not None:
        return FittedPolicy(rule, rule.fit(recording.lessons)), np.arange(count)
    order = np.random.default_rng(seed).permutation(count)
    fitting = int(count * LEARNING_SHARE)
    parameters = rule.fit(evidence[order[:fitting]])
    return FittedPolicy(rule, parameters), np.sort(order[fitting:])
