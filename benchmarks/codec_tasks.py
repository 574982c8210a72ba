"""What codecs are measured on: compiled networks, what crosses their cuts, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.codec_bundles import samples_of
from benchmarks.codec_limits import Limits, limits_of
from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import Boundary, Bundle
from offramp.calibration import load_calibration
from offramp.capture.levels import Crossing, answer, batches, fit_levels
from offramp.exits import softmax
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = ["Half", "Level", "WithExits", "fit_cut", "measure_exits", "measure_task"]

_TRIED = np.linspace(0, 1, 101)  # of the exits' confidences


@dataclass(frozen=True)
class Half:
    """What a level did to one half of the samples; by the first one is chosen, not told."""

    bytes: float
    lost: float


@dataclass(frozen=True)
class Level:
    """One cut and codec level on the test samples, and on each half of them.

    ``error`` is the standard error of ``lost``, in which a sample counts that one answers rightly
    and the other not. ``macs`` are the device's multiply-adds, a bottleneck's encoder among them,
    ``tail`` is the share of the model's behind the cut, ``elements`` are those of the boundary's
    floats.
    """

    cut: int
    level: str
    bytes: float
    p95_bytes: float
    lost: float
    error: float
    first: Half
    second: Half
    raw_bytes: int
    elements: int
    macs: int
    tail: float
    limits: Limits | None = None


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
    was, now = list(fitted.inputs), list(test.inputs)
    seen, asked = answer(network, 0, was), answer(network, 0, now)
    for cut in range(network.depth):
        print(f"{name}: cut {cut}", flush=True)
        _, known = fit_cut(network, cut, was, seen)
        crossing = Crossing(network, network, cut, now, asked)
        for level in known.levels(cut):
            yield _measure(crossing, known, level, test.labels)
        was, now = _next(network, cut, was), _next(network, cut, now)


def _measure(crossing: Crossing, known: BundleCodecs, level: str, labels: Array) -> Level:
    manifest, codec = crossing.tail.bundle.manifest, known.at(crossing.cut, level)
    macs = np.cumsum([0, *(segment.macs for segment in manifest.segments)])
    outputs, sizes = crossing.record(known, level)
    lost = _right(crossing.plain, labels) * 1.0 - _right(outputs, labels)
    halves = zip(np.array_split(sizes, 2), np.array_split(lost, 2), strict=True)
    first, second = (Half(float(size.mean()), float(loss.mean())) for size, loss in halves)
    encoder = manifest.bottlenecks[crossing.cut].encoder.macs if codec.narrow else 0
    return Level(
        crossing.cut,
        level,
        float(sizes.mean()),
        float(np.quantile(sizes, 0.95)),
        float(lost.mean()),
        float(lost.std() / np.sqrt(len(lost))),
        first,
        second,
        crossing.boundary.nbytes,
        sum(t.elements for t in crossing.boundary.tensors if t.dtype == "float32"),
        int(macs[crossing.cut]) + encoder,
        float(1 - macs[crossing.cut] / macs[-1]),
        limits_of(codec.codecs, crossing.narrow if codec.narrow else crossing.values),
    )


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
    whole = _right(answer(network, 0, list(test.inputs)), test.labels).mean()
    values, codes, logits = list(test.inputs), dict[str, Array](), []
    for at in range(cut):
        values = _next(network, at, values)
        here = (number for number, spec in enumerate(exits) if spec.boundary == at + 1)
        logits += [network.exit_logits(number, values, codes) for number in here]
    leaves = _scores(np.stack(logits), bundle) >= threshold
    rows = np.flatnonzero(~leaves.any(axis=0))
    answers = _first_answers(np.stack(logits), leaves)
    sizes = np.zeros(0)
    if len(rows):
        sent = [array[rows] for array in values]
        crossing = Crossing(network, network, cut, sent, answer(network, cut, sent))
        outputs, sizes = crossing.record(network.codecs, level)
        answers[rows] = outputs.argmax(axis=-1)
    lost, count = whole - float(np.mean(answers == test.labels)), len(test)
    return WithExits(cut, level, threshold, len(rows) / count, float(sizes.sum()) / count, lost)


def _next(network: Network, cut: int, tensors: list[Array]) -> list[Array]:
    parts = [network.run_segment(cut, rows) for rows in batches(tensors)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _right(outputs: Array, labels: Array) -> Array:
    return np.asarray(outputs.argmax(axis=-1) == labels)
