"""Proof: head + tail on real inputs equals the whole model, for every cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from offramp import codecs
from offramp.agreement import largest_difference
from offramp.bundle.manifest import Proof
from offramp.capture.whole import TOLERANCE
from offramp.errors import CaptureError
from offramp.network import Network
from offramp.tensors import Array, TensorSpec

__all__ = ["prove", "through_frames"]


def prove(network: Network, inputs: Sequence[Array], expected: Sequence[Array]) -> Iterator[Proof]:
    """Yield a proof for each cut; raise `CaptureError` at the first that fails.

    The head runs one sample at a time, as on a device; the boundary crosses as lossless frames,
    one a sample, as on the wire; the tail runs on the batch, as on a server.
    """
    samples = [[array[at : at + 1] for array in inputs] for at in range(len(inputs[0]))]
    for cut in range(network.depth + 1):
        boundary = [np.concatenate(tensor) for tensor in zip(*samples, strict=True)]
        received = [through_frames(array) for array in boundary]
        outputs = network.run(cut, network.depth, received)
        relative = largest_difference(outputs, expected)
        if relative > TOLERANCE:
            raise CaptureError(
                f"cut {cut} on {network.backend} differs from the whole model by "
                f"{relative:.3g} of its output, more than {TOLERANCE:.3g}; please report the model"
            )
        yield Proof(
            backend=network.backend,
            cut=cut,
            max_abs_difference=_absolute(outputs, expected),
            max_relative_difference=relative,
            samples=len(samples),
        )
        if cut < network.depth:
            samples = [network.run_segment(cut, sample) for sample in samples]


def _absolute(outputs: Sequence[Array], expected: Sequence[Array]) -> float:
    """Return the largest difference where both are finite."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        gaps = [
            mine.astype(np.float64) - theirs for mine, theirs in zip(outputs, expected, strict=True)
        ]
    return max(float(np.abs(np.nan_to_num(gap)).max()) for gap in gaps)


def through_frames(array: Array) -> Array:
    """Return a batch of samples as it is after it crossed as lossless frames, one a sample."""
    lossless = codecs.get("lossless")
    spec = TensorSpec("boundary", array.dtype.name, array.shape[1:])
    frames = [codecs.encode(lossless, sample) for sample in array]
    return np.stack([codecs.decode(f, spec, limit_bytes=spec.nbytes) for f in frames])
