"""The exit policy of a bundle: its name in the manifest, its parameters in a file of their own."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save

from offramp.bundle import Bundle, Manifest
from offramp.errors import BundleError
from offramp.exits.evidence import Evidence, as_state, summarise
from offramp.exits.policies import POLICIES
from offramp.exits.policy import ExitPolicy, FittedPolicy, Parameters

__all__ = ["FILE", "encode_parameters", "load_policy", "rule_of"]

FILE = "policy.safetensors"
"""Where a bundle keeps its policy's parameters, if there are any."""


def encode_parameters(parameters: Parameters) -> bytes:
    """Return what `FILE` holds."""
    return save({name: np.ascontiguousarray(array) for name, array in parameters.items()})


def load_policy(bundle: Bundle) -> FittedPolicy:
    """Read a bundle's exit policy and check that it can score what the bundle's exits say.

    Raises `BundleError` if its parameters are damaged or do not fit, and as `rule_of` does.
    """
    name, rule = bundle.manifest.policy, rule_of(bundle)
    parameters = bundle.arrays(FILE) if FILE in bundle.manifest.files else {}
    policy = FittedPolicy(rule, parameters)
    problem = _problem(policy, bundle.manifest)
    if problem:
        raise BundleError(
            f"bundle {bundle.digest[:12]}: the parameters of exit policy {name!r} do not fit "
            f"({problem}); compile the model again"
        )
    return policy


def rule_of(bundle: Bundle) -> ExitPolicy:
    """Return the rule that a bundle names.

    Raises `BundleError` if this release does not know it, or if it reads the truth.
    """
    name = bundle.manifest.policy
    rule = POLICIES.get(name)
    if rule is None:
        raise BundleError(
            f"bundle {bundle.digest[:12]} has exit policy {name!r}, which this release does not "
            "know; install a newer Offramp"
        )
    if "truth" in rule.reads:
        raise BundleError(
            f"bundle {bundle.digest[:12]} has exit policy {name!r}, which reads the right answers, "
            "and a device has none; choose another policy"
        )
    return rule


def _problem(policy: FittedPolicy, manifest: Manifest) -> str | None:
    """Say what is wrong with a policy's parameters, tried on a sample of zeros."""
    for name, array in policy.parameters.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            return f"{name!r} holds what is no finite number"
    if not manifest.exits:
        return None
    evidence = _zeros(manifest)
    for at, spec in enumerate(manifest.exits):
        try:
            score = policy.score(evidence.upto(at))
        except KeyError as error:
            return f"there is no array {error}"
        except (IndexError, ValueError) as error:
            return f"at exit {spec.name!r}: {error}"
        if score.shape != (1,) or not 0 <= score[0] <= 1:
            return f"at exit {spec.name!r} the score is {score}"
    return None


def _zeros(manifest: Manifest) -> Evidence:
    """Return the evidence of one sample in which every number is 0."""
    boundaries = manifest.boundaries
    logits = np.zeros((1, *boundaries[-1].tensors[0].shape), np.float32).reshape(1, -1)
    states = [
        next(t for t in boundaries[e.boundary].tensors if t.name == e.tensor)
        for e in manifest.exits
    ]
    inputs = boundaries[0].tensors
    return Evidence(
        logits=(logits,) * len(states),
        states=tuple(as_state(np.zeros((1, *t.shape), t.dtype)) for t in states),
        summary=summarise([np.zeros((1, *t.shape), t.dtype) for t in inputs]),
    )
