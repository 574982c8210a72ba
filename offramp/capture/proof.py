"""Proof: head + tail on real inputs equals the whole model, for every cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from offramp import codecs
from offramp.bundle.manifest import Proof
from offramp.errors import CaptureError
from offramp.network import Network
from offramp.tensors import Array, TensorSpec

__all__ = ["TOLERANCE", "prove", "through_frames"]

TOLERANCE = 1e-3
"""The largest difference that passes, as a share of the output's largest magnitude."""


def prove(network: Network, inputs: Sequence[Array], expected: Sequence[Array]) -> Iterator[Proof]:
    """Yield a proof for each cut; raise `CaptureError` at the first that fails.

    The boundary crosses as lossless frames, one sample at a time, as it does on the wire.
    """
    values = list(inputs)
    for cut in range(network.depth + 1):
        received = [through_frames(array) for array in values]
        outputs = network.run(cut, network.depth, received)
        pairs = list(zip(outputs, expected, strict=True))
        absolute = max(_difference(mine, theirs) for mine, theirs in pairs)
        relative = max(_difference(mine, theirs) / _magnitude(theirs) for mine, theirs in pairs)
        if not relative <= TOLERANCE:
            raise CaptureError(
                f"cut {cut} on {network.backend} differs from the whole model by "
                f"{relative:.3g} of its output, more than {TOLERANCE:.3g}; please report the model"
            )
        yield Proof(
            backend=network.backend,
            cut=cut,
            max_abs_difference=absolute,
            max_relative_difference=relative,
            samples=len(inputs[0]),
        )
        if cut < network.depth:
            values = network.run_segment(cut, values)


def _difference(mine: Array, theirs: Array) -> float:
    return float(np.abs(mine.astype(np.float64) - theirs).max())


def _magnitude(array: Array) -> float:
    return float(np.abs(array.astype(np.float64)).max()) or 1.0


def through_frames(array: Array) -> Array:
    """Return a batch of samples as it is after it crossed as lossless frames, one a sample."""
    lossless = codecs.get("lossless")
    spec = TensorSpec("boundary", array.dtype.name, array.shape[1:])
    frames = [codecs.encode(lossless, sample) for sample in array]
    return np.stack([codecs.decode(f, spec, limit_bytes=spec.nbytes) for f in frames])
