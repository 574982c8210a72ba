"""Recording: what a network's exits and the network itself say of labelled samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.bundle import Manifest
from offramp.errors import InputError
from offramp.exits.evidence import Evidence, Truth, as_logits, as_state, summarise
from offramp.network import Codes, Network
from offramp.samples import LabelledSamples, check_inputs
from offramp.tensors import Array

__all__ = ["costs_of", "evidence_of", "record"]

BATCH = 50


def record(network: Network, samples: LabelledSamples) -> Evidence:
    """Return the evidence of all exits, with its truth; logits are over their temperatures.

    The samples run through the network once, a few at a time. Raises `InputError` on samples that
    the model does not take, or if its answer is no class.
    """
    manifest = network.bundle.manifest
    if manifest.answer != "class":
        raise InputError(f"bundle {manifest.name!r} answers with a tensor; exits need classes")
    check_inputs(samples.inputs, manifest.boundaries[0].tensors)
    parts = [
        _record_batch(network, [array[at : at + BATCH] for array in samples.inputs])
        for at in range(0, len(samples), BATCH)
    ]
    *columns, final = (np.concatenate(column) for column in zip(*parts, strict=True))
    exits = len(manifest.exits)
    return Evidence(
        logits=tuple(columns[:exits]),
        states=tuple(columns[exits:]),
        summary=summarise(samples.inputs),
        truth=Truth(samples.labels, final, costs_of(manifest)),
    )


def costs_of(manifest: Manifest, exits: int | None = None) -> Array:
    """Return the multiply-adds of a sample that leaves at each exit, and of one that does not.

    Those of all exit heads on its way are included. ``exits`` counts how many there are to leave
    at, all by default.
    """
    open_exits = manifest.exits[:exits]
    segments = np.cumsum([0, *(segment.macs for segment in manifest.segments)])
    heads = np.cumsum([0, *(spec.macs for spec in open_exits)])
    ends = [*(spec.boundary for spec in open_exits), len(manifest.segments)]
    passed = [*range(1, len(open_exits) + 1), len(open_exits)]
    return np.asarray(segments[ends] + heads[passed], dtype=np.float64)


def evidence_of(network: Network, values: Sequence[Sequence[Array]]) -> Evidence:
    """Return what the exits say, given the tensors of every boundary; without a summary."""
    manifest = network.bundle.manifest
    pairs = [(spec, values[spec.boundary]) for spec in manifest.exits]
    names = [[t.name for t in manifest.boundaries[spec.boundary].tensors] for spec, _ in pairs]
    codes: Codes = {}
    return Evidence(
        logits=tuple(
            as_logits(network.exit_logits(at, tensors, codes), spec.temperature)
            for at, (spec, tensors) in enumerate(pairs)
        ),
        states=tuple(
            as_state(tensors[held.index(spec.tensor)])
            for held, (spec, tensors) in zip(names, pairs, strict=True)
        ),
    )


def _record_batch(network: Network, tensors: list[Array]) -> list[Array]:
    """Return every exit's logits, then every exit's states, then the final logits."""
    values = [list(tensors)]
    for at in range(network.depth):
        values.append(network.run_segment(at, values[at]))
    seen = evidence_of(network, values)
    final = as_logits(values[-1][0], network.bundle.manifest.temperature)
    return [*seen.logits, *seen.states, final]
