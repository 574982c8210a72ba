"""Targets: the arrays that a bundle keeps of what was recorded and learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from benchmarks.fuzzing.bundles import embedded, of_bundle_file
from benchmarks.fuzzing.frames import every_subject
from benchmarks.fuzzing.target import Attack, Target
from offramp import calibration, codecs
from offramp.bundle import Bundle
from offramp.calibration import load_calibration, score_exits
from offramp.embedded.cluttered_digits import load as load_digits
from offramp.errors import InputError, OfframpError
from offramp.exits import fitted
from offramp.exits.fitted import encode_parameters, load_policy
from offramp.exits.policies import POLICIES
from offramp.exits.recording import record
from offramp.network import Network
from offramp.samples import LabelledSamples

__all__ = ["targets"]


def targets() -> tuple[Target, ...]:
    """Return the targets of what was recorded and learnt."""
    return (
        Target("calibration arrays", ("offramp.calibration",), _calibration, weight=15),
        Target("exit policies", ("offramp.exits.fitted",), _policies, weight=7),
        Target("codec parameters", ("offramp.boundary_codec",), _parameters, weight=18),
    )


def _calibration(folder: Path) -> Attack:
    """Read recorded answers, and score the exits by them."""
    policy = load_policy(embedded())
    few = load_calibration(embedded()).select(np.arange(4))

    def read(bundle: Bundle) -> None:
        score_exits(bundle.manifest, load_calibration(bundle), policy)

    return of_bundle_file(folder, calibration.FILE, (save(few.to_arrays()),), read)


def _policies(folder: Path) -> Attack:
    """Read what a policy has learnt; an input's first byte says which policy."""
    images, labels = load_digits("test", 64)
    seen = record(Network(embedded(), "onnxruntime"), LabelledSamples((images,), labels=labels))
    learning = [policy for policy in POLICIES.values() if policy.learns]
    seeds = [
        bytes((at,)) + encode_parameters(policy.fit(seen)) for at, policy in enumerate(learning)
    ]

    def read(data: bytes) -> None:
        if not data:
            raise InputError("the input names no policy")
        name = learning[data[0] % len(learning)].name

        def load_one(bundle: Bundle) -> None:
            manifest = bundle.manifest.model_copy(update={"policy": name})
            load_policy(Bundle(manifest, bundle.digest, bundle.folder))

        of_bundle_file(folder, fitted.FILE, (), load_one).read(data[1:])

    return Attack(tuple(seeds), read)


def _parameters(folder: Path) -> Attack:
    """Read what a codec has learnt, and write and read a sample by it; first, which codec."""
    subjects = [one for one in every_subject() if one.codec.calibrated]
    seeds = []
    for at, subject in enumerate(subjects):
        learnt = {name: np.asarray(value) for name, value in subject.codec.parameters().items()}
        seeds.append(bytes((at,)) + save(learnt))

    def read(data: bytes) -> None:
        if not data:
            raise InputError("the input names no codec")
        subject = subjects[data[0] % len(subjects)]
        codec = codecs.get(subject.codec.name).with_parameters(load(data[1:]))
        with np.errstate(all="ignore"):
            payload = codec.encode(subject.decoded[0])
            codec.decode(payload, subject.spec)
            codec.decode(subject.payloads[0], subject.spec)

    return Attack(tuple(seeds), read, (OfframpError, SafetensorError, KeyError))
