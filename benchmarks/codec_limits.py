"""How near to its limits a codec that codes in context comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offramp import codecs
from offramp.codecs import context_coder as coder
from offramp.codecs.coded import Coded
from offramp.tensors import Array

if TYPE_CHECKING:
    from offramp.codecs.context_model import ContextModel

__all__ = ["Limits", "limits_of"]

SAMPLES = 300
"""Enough for a mean, and the same ones for all three figures."""


@dataclass(frozen=True)
class Limits:
    """Bytes a sample of those tensors of a boundary that are coded in context.

    ``order_0`` is the entropy of the codes, channel by channel, ``model`` what the codec's own
    probabilities allow, and ``coded`` its whole frames.
    """

    order_0: float
    model: float
    coded: float


def limits_of(each: Sequence[codecs.Codec], tensors: Sequence[Array]) -> Limits | None:
    """Return the limits for samples of a boundary; None where nothing is coded in context."""
    found = [
        (codec, learnt, array[:SAMPLES])
        for codec, array in zip(each, tensors, strict=True)
        if isinstance(learnt := getattr(codec, "learnt", None), Coded)
    ]
    if not found:
        return None
    order_0, model = np.sum([_entropy(one, a) for _, one, a in found], 0)
    coded = sum(len(codecs.encode(codec, one)) / len(a) for codec, _, a in found for one in a)
    return Limits(float(order_0), float(model), coded)


def _entropy(learnt: Coded, samples: Array) -> tuple[float, float]:
    """Return the bytes of a sample of order 0, channel by channel, and of the model."""
    model, values = learnt.model, learnt.given(learnt.planes.view(samples))
    assert values is not None
    codes, contexts = (np.stack(part) for part in zip(*_looked(model, values), strict=True))
    frequencies = np.diff(model.cumulative, axis=1)
    last, lowest = frequencies.shape[1] - 1, int(model.lowest)
    symbols = np.clip(codes - lowest, 0, last)
    bits = -np.log2(frequencies[contexts, symbols] / frequencies.sum(1)[contexts]).sum()
    at_end = (symbols == last) | ((symbols == 0) & (lowest < 0))
    excess = np.where(symbols == last, codes - lowest - last, lowest - codes) + 1
    bits += (2 * np.floor(np.log2(np.maximum(excess, 1))) + 1)[at_end].sum()
    plain = 0.0
    for channel in codes.transpose(1, 0, 2, 3):
        _, counts = np.unique(channel, return_counts=True)
        plain -= float((counts * np.log2(counts / counts.sum())).sum())
    return plain / 8 / len(values), float(bits) / 8 / len(values)


def _looked(model: ContextModel, values: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the codes and contexts of samples."""
    shape, inverse = values.shape[1:], (1 / model.steps).astype(np.float32)
    for one in values:
        one.flags.writeable = False
        rounding = np.float32(model.rounding)
        flat, _ = coder.quantise(one, model.offsets, inverse, rounding, model.sparse)
        yield coder.plain(flat, shape), coder.contexts_of(flat, shape, model.sight)
