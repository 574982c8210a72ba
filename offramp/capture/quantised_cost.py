"""What quantising costs and gains, measured on samples that set no range."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from offramp import backends
from offramp.agreement import largest_difference
from offramp.bundle import Bundle
from offramp.bundle.quantised import Accuracy, Quantised
from offramp.capture.levels import batches
from offramp.capture.passes import unfaithful
from offramp.capture.quantisation import EXACT, QUANTISED
from offramp.errors import CaptureError
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = ["measure_cost"]

_ROUNDS = 20
_WARM_UP = 3


def measure_cost(bundle: Bundle, held_out: LabelledSamples, range_samples: int) -> Quantised:
    """Compare the quantised programs with those they were made of: answers, bytes and time.

    Raises `CaptureError` if an answer of either is not finite.
    """
    both = [Network(bundle, name) for name in (EXACT, QUANTISED)]
    exact, ours = (_answers(network, held_out) for network in both)
    right = [_right(bundle, held_out.labels, found, exact) for found in (exact, ours)]
    names = [*(spec.name for spec in bundle.manifest.exits), "whole model"]
    off = np.abs(ours[-1].astype(np.float64) - exact[-1]).mean() / (np.abs(exact[-1]).max() or 1)
    exact_s, quantised_s = _whole_s(bundle, (EXACT, QUANTISED))
    return Quantised(
        backend=QUANTISED,
        range_samples=range_samples,
        samples=len(held_out),
        accuracies=tuple(
            Accuracy(name=name, exact=float(theirs.mean()), quantised=float(mine.mean()))
            for name, theirs, mine in zip(names, *right, strict=True)
        ),
        same_share=float(_same(bundle, ours[-1], exact[-1]).mean()),
        max_relative_difference=largest_difference(ours[-1:], exact[-1:]),
        mean_relative_difference=float(off),
        exact_bytes=_size_bytes(bundle, EXACT),
        quantised_bytes=_size_bytes(bundle, QUANTISED),
        exact_s=exact_s,
        quantised_s=quantised_s,
    )


def _answers(network: Network, samples: LabelledSamples) -> list[Array]:
    """Return each exit's logits, then the model's first output, for all samples."""
    exits = network.bundle.manifest.exits
    parts = []
    for values in batches(list(samples.inputs)):
        logits, codes = [], dict[str, Array]()
        for at in range(network.depth):
            values = network.run_segment(at, values)
            here = (e for e, spec in enumerate(exits) if spec.boundary == at + 1)
            logits += [network.exit_logits(e, values, codes) for e in here]
        if not all(np.isfinite(array).all() for array in (*logits, values[0])):
            raise CaptureError(
                f"what {network.backend} answers holds NaN or infinity; compile without --int8"
            )
        parts.append([*logits, values[0]])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _right(
    bundle: Bundle, labels: Array, found: Sequence[Array], exact: Sequence[Array]
) -> list[Array]:
    if bundle.manifest.answer == "tensor":
        return [_same(bundle, found[-1], exact[-1])]
    return [logits.argmax(axis=-1) == labels for logits in found]


def _same(bundle: Bundle, ours: Array, exact: Array) -> Array:
    if bundle.manifest.answer == "tensor":
        return np.logical_not(unfaithful(ours, exact))
    return np.asarray(ours.argmax(axis=-1) == exact.argmax(axis=-1))


def _size_bytes(bundle: Bundle, backend: str) -> int:
    manifest = bundle.manifest
    names = {name for one in manifest.programs for name in backends.get(backend).files(one.folder)}
    return sum(entry.bytes for name, entry in manifest.files.items() if name in names)


def _whole_s(bundle: Bundle, names: Sequence[str]) -> list[float]:
    """Return each backend's median time for one sample, segments fused as a device runs them."""
    networks = [Network(bundle, name, segments=range(0)) for name in names]
    depth, one = networks[0].depth, [array[:1] for array in bundle.examples]
    times: list[list[float]] = [[] for _ in networks]
    for network in networks:
        network.fuse(bundle.manifest.stops(depth))
    for _ in range(_WARM_UP + _ROUNDS):
        for network, taken in zip(networks, times, strict=True):
            started_s = time.perf_counter()
            network.run(0, depth, one)
            taken.append(time.perf_counter() - started_s)
    return [statistics.median(taken[_WARM_UP:]) for taken in times]
