"""What codecs are measured on: compiled networks, what crosses their cuts, and what comes of it."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.exit_tasks import TASKS, Task
from benchmarks.harness import BUNDLE
from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import Boundary, Bundle, open_bundle
from offramp.bundle.cache import cache_folder
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.levels import Crossing, answer, batches, fit_levels
from offramp.codecs import context_coder as coder
from offramp.codecs.context import Context
from offramp.embedded.cluttered_digits import load
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

if TYPE_CHECKING:
    from offramp.codecs.context_model import ContextModel

__all__ = ["NAMES", "Level", "bundle_of", "fit_cut", "measure_task", "samples_of"]

EMBEDDED = "cluttered_digits"
NAMES = ("fashion_mnist", "cifar10", EMBEDDED, "banking77")
COMPILED = 300
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


def samples_of(name: str, part: str, count: int) -> LabelledSamples:
    """Return the first samples of a part of a task: ``held_out`` or ``test``.

    Raises `ConfigError` where its data or its network are not here.
    """
    if name == EMBEDDED:
        images, labels = load("calibration" if part == "held_out" else "test", count)
        return LabelledSamples((images,), labels)
    return _task(name).samples(part)[:count]


def measure_task(name: str, fitted_count: int, test_count: int) -> Iterator[Level]:
    """Fit codecs to every cut on held-out samples, and yield what each does to test samples."""
    network = Network(bundle_of(name), threads=2)
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
                *_entropies(known.at(cut, level).codecs, now),
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


def _task(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


def bundle_of(name: str) -> Bundle:
    """Return the task's network, compiled without exits; from the cache if it is there."""
    if name == EMBEDDED:
        return open_bundle(BUNDLE)
    module = importlib.import_module(f"examples.{name}.model")
    key = hashlib.sha256(Path(module.WEIGHTS).read_bytes()).hexdigest()[:12]
    path = cache_folder() / "benchmarks" / f"codec-{name}-{key}.offramp"
    if not path.exists():
        print(f"compiling {name}", flush=True)
        options, held_out = CompileOptions(name), samples_of(name, "held_out", COMPILED)
        compile_model(_task(name).model, held_out, path, options)
    return open_bundle(path)


def _next(network: Network, cut: int, tensors: list[Array]) -> list[Array]:
    parts = [network.run_segment(cut, rows) for rows in batches(tensors)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _accuracy(outputs: Array, labels: Array) -> float:
    return float(np.mean(outputs.argmax(axis=-1) == labels))


def _entropies(each: Sequence[codecs.Codec], tensors: Sequence[Array]) -> tuple[float, float]:
    """Return the bytes that order 0 and the codecs' own models allow, over all tensors."""
    found = [
        _entropy(codec.learnt.model, codec.learnt.planes.view(array[:ENTROPIES]))
        for codec, array in zip(each, tensors, strict=True)
        if isinstance(codec, Context) and codec.learnt
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
