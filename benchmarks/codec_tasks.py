"""What codecs are measured on: compiled networks, what crosses their cuts, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.codec_bundles import samples_of
from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import Boundary, Bundle
from offramp.calibration import load_calibration
from offramp.capture.levels import Crossing, answer, batches, fit_levels
from offramp.codecs import context_coder as coder
from offramp.codecs.coded import Coded
from offramp.exits import softmax
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

if TYPE_CHECKING:
    from offramp.codecs.context_model import ContextModel

__all__ = ["Level", "WithExits", "fit_cut", "measure_exits", "measure_task"]

_TRIED = np.linspace(0, 1, 101)  # of the exits' confidences
ENTROPIES = 300  # samples, enough for a mean


@dataclass(frozen=True)
class Level:
    """One cut and codec level on the test samples.

    ``tail`` is the share of the multiply-adds behind the cut, ``elements`` those of the boundary's
    floats. ``entropy_bytes`` is the order-0 entropy of the codes of each channel and
    ``model_bytes`` what the codec's own probabilities allow at best; NaN where there are none.
    """

    cut: int
    level: str
    bytes: float
    p95_bytes: float
    lost: float
    raw_bytes: int
    elements: int
    tail: float
    entropy_bytes: float = np.nan
    model_bytes: float = np.nan


@dataclass(frozen=True)
class WithExits:
    """A cut, a level and a threshold for all exits on the way, on the test samples.

    ``sent`` of them crossed the cut; ``bytes`` is the mean over all.
    """

    cut: int
    level: str
    threshold: float
    sent: float
    bytes: float
    lost: float


def measure_task(name: str, bundle: Bundle, fitted_count: int, test_count: int) -> Iterator[Level]:
    """Fit codecs to every cut on held-out samples, and yield what each does to test samples."""
    network = Network(bundle, threads=2)
    fitted, test = samples_of(name, "held_out", fitted_count), samples_of(name, "test", test_count)
    macs = np.cumsum([0, *(segment.macs for segment in network.bundle.manifest.segments)])
    was, now = list(fitted.inputs), list(test.inputs)
    plain = {id(was): answer(network, 0, was), id(now): answer(network, 0, now)}
    whole = _accuracy(plain[id(now)], test.labels)
    seen, asked = plain[id(was)], plain[id(now)]
    for cut in range(network.depth):
        print(f"{name}: cut {cut}", flush=True)
        boundary, known = fit_cut(network, cut, was, seen)
        crossing = Crossing(network, network, cut, now, asked)
        floats = sum(t.elements for t in boundary.tensors if t.dtype == "float32")
        for level in boundary.levels:
            codec = known.at(cut, level)
            outputs, sizes = crossing.record(known, level)
            yield Level(
                cut,
                level,
                float(sizes.mean()),
                float(np.quantile(sizes, 0.95)),
                whole - _accuracy(outputs, test.labels),
                boundary.nbytes,
                floats,
                float(1 - macs[cut] / macs[-1]),
                *_entropies(codec.codecs, crossing.narrow if codec.narrow else now),
            )
        was, now = _next(network, cut, was), _next(network, cut, now)


def fit_cut(
    network: Network, cut: int, tensors: list[Array], plain: Array | None = None
) -> tuple[Boundary, BundleCodecs]:
    """Return a cut's boundary with every level fitted to samples, and the codecs.

    ``plain`` are the tail's answers to these samples.
    """
    plain = answer(network, cut, tensors) if plain is None else plain
    boundary, learnt = fit_levels(Crossing(network, network, cut, tensors, plain), codecs.names())
    boundaries = list(network.bundle.manifest.boundaries)
    boundaries[cut] = boundary
    arrays = {key: array for found in learnt.values() for key, array in found.items()}
    return boundary, BundleCodecs(boundaries, arrays)


def measure_exits(
    bundle: Bundle, test: LabelledSamples, drop: float, least_tail: float
) -> WithExits | None:
    """Return what sends least at an accuracy lost of at most ``drop``; None if nothing does.

    Cut, level and threshold are chosen by the bundle's own calibration samples; ``least_tail`` of
    the multiply-adds at least are behind the cut.
    """
    manifest, calibration = bundle.manifest, load_calibration(bundle)
    macs = np.cumsum([0, *(segment.macs for segment in manifest.segments)])
    found = []
    for cut, level in calibration.levels:
        if 1 - macs[cut] / macs[-1] < least_tail:
            continue
        scores = _scores(calibration.exit_logits[: manifest.exits_before(cut)], bundle)
        for threshold in np.quantile(scores, _TRIED) if len(scores) else ():
            leaves = scores >= threshold
            answers = np.where(
                leaves.any(axis=0),
                _first_answers(calibration.exit_logits, leaves),
                calibration.answers[cut, level],
            )
            if np.mean(answers == calibration.labels) >= calibration.accuracy - drop:
                sizes = np.where(leaves.any(axis=0), 0, calibration.sizes[cut, level])
                found.append((float(sizes.mean()), cut, level, float(threshold)))
    return _tested(bundle, test, *min(found)[1:]) if found else None


def _scores(exit_logits: Array, bundle: Bundle) -> Array:
    """Return the confidence of the first exits, (E, N)."""
    pairs = zip(exit_logits, bundle.manifest.exits, strict=False)
    return np.array([softmax(logits, spec.temperature).max(axis=-1) for logits, spec in pairs])


def _first_answers(exit_logits: Array, leaves: Array) -> Array:
    """Return the class that the first exit answers at which each sample leaves, (N,)."""
    answers = exit_logits[: len(leaves)].argmax(axis=-1)
    return np.asarray(np.take_along_axis(answers, leaves.argmax(axis=0)[None], 0)[0])


def _tested(
    bundle: Bundle, test: LabelledSamples, cut: int, level: str, threshold: float
) -> WithExits:
    """Return what such a plan does to test samples."""
    network, exits = Network(bundle, threads=2), bundle.manifest.exits
    whole = _accuracy(answer(network, 0, list(test.inputs)), test.labels)
    values, codes, logits = list(test.inputs), dict[str, Array](), []
    for at in range(cut):
        values = _next(network, at, values)
        here = (number for number, spec in enumerate(exits) if spec.boundary == at + 1)
        logits += [network.exit_logits(number, values, codes) for number in here]
    leaves = _scores(np.stack(logits), bundle) >= threshold
    rows = np.flatnonzero(~leaves.any(axis=0))
    answers = _first_answers(np.stack(logits), leaves)
    sent = [array[rows] for array in values]
    crossing = Crossing(network, network, cut, sent, answer(network, cut, sent))
    outputs, sizes = crossing.record(network.codecs, level)
    answers[rows] = outputs.argmax(axis=-1)
    lost, count = whole - float(np.mean(answers == test.labels)), len(test)
    return WithExits(cut, level, threshold, len(rows) / count, float(sizes.sum()) / count, lost)


def _next(network: Network, cut: int, tensors: list[Array]) -> list[Array]:
    parts = [network.run_segment(cut, rows) for rows in batches(tensors)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _accuracy(outputs: Array, labels: Array) -> float:
    return float(np.mean(outputs.argmax(axis=-1) == labels))


def _entropies(each: Sequence[codecs.Codec], tensors: Sequence[Array]) -> tuple[float, float]:
    """Return the bytes that order 0 and the codecs' own models allow, over all tensors."""
    found = [
        _entropy(learnt.model, learnt.planes.view(array[:ENTROPIES]))
        for codec, array in zip(each, tensors, strict=True)
        if isinstance(learnt := getattr(codec, "learnt", None), Coded)
    ]
    return (sum(a for a, _ in found), sum(b for _, b in found)) if found else (np.nan, np.nan)


def _entropy(model: ContextModel, values: Array) -> tuple[float, float]:
    """Return the bytes a sample (N, C, H, W) of order 0, channel by channel, and of the model."""
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
