"""Codec levels: fitted to what crosses a cut, and recorded by what the tail then answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from offramp import codecs
from offramp.boundary_codec import BundleCodecs, codec_of, split_parameters
from offramp.bundle import Boundary
from offramp.capture.level_frontier import Recorded, frontier_levels
from offramp.codecs.effect import Effect
from offramp.exits.evidence import as_logits
from offramp.exits.temperature import log_softmax
from offramp.network import Codes, Network
from offramp.tensors import Array

__all__ = [
    "Crossing",
    "Followed",
    "answer",
    "batches",
    "fit_levels",
    "follow",
    "screen",
    "with_levels",
]

BATCH = 50
FIT_SAMPLES = 400
SCREENED = 64
LOOK_MACS = 4e9  # spent, about, on each look at what a codec does to the answers
LOOK_SAMPLES = (16, 128)
UNSEEN = 5e-4  # changes of answers that are smaller are as good as none

Learnt = dict[str, dict[str, Array]]
"""The arrays that codecs have learnt, by level and by their names in the bundle."""


@dataclass(frozen=True)
class Followed:
    """What a tail says of samples: the end's output, and the logits of the ``exits`` behind."""

    exits: tuple[int, ...]
    logits: tuple[Array, ...]
    end: Array


@dataclass(frozen=True)
class Crossing:
    """The tensors of one cut as a head made them, and the tail that answers them.

    ``plain`` is the tail's output for these very tensors.
    """

    head: Network
    tail: Network
    cut: int
    values: list[Array]
    plain: Array
    _followed: dict[int, Array] = field(default_factory=dict, repr=False)

    def record(self, known: BundleCodecs, level: str) -> tuple[Array, Array]:
        """Return the tail's outputs and the bytes of all samples if they cross at a level, whole.

        Which sample a later one can refer to hangs on exits, link and server, so that its change
        may be of any length; it is never sent where it would be longer.
        """
        tensors, sizes = self._cross(known, level)
        return self.plain if tensors is None else answer(self.tail, self.cut, tensors), sizes

    def follow(
        self, known: BundleCodecs, level: str, exits: tuple[int, ...]
    ) -> tuple[Followed, Array]:
        """Return what some exits behind the cut say besides, and the bytes, as `record` does."""
        tensors, sizes = self._cross(known, level)
        if tensors is not None:
            return follow(self.tail, self.cut, tensors, exits), sizes
        return Followed(exits, tuple(self._lossless(at) for at in exits), self.plain), sizes

    def _lossless(self, exit_: int) -> Array:
        """Return the logits of an exit behind the cut for the very tensors."""
        exits = self.tail.bundle.manifest.later_exits(self.cut)
        if not self._followed:
            found = follow(self.tail, self.cut, self.values, exits)
            self._followed.update(zip(exits, found.logits, strict=True))
        return self._followed[exit_]

    def _cross(self, known: BundleCodecs, level: str) -> tuple[list[Array] | None, Array]:
        """Return the tensors that come out at a level, None for these very ones, and the bytes."""
        codec = known.at(self.cut, level)
        lossless = codecs.get(level).lossless
        limit_bytes = sum(array[0].nbytes for array in self.values)
        received, sizes = [], []
        for sample in zip(*(self.narrow if codec.narrow else self.values), strict=True):
            sent = codec.encode(sample)
            sizes.append(sent.size_bytes)
            if not lossless:
                found = known.decode(self.cut, sent.frames, limit_bytes=limit_bytes)
                received.append(found.tensors)
        taken = np.array(sizes, dtype=np.int32)
        if lossless:
            return None, taken
        tensors = [np.stack(part) for part in zip(*received, strict=True)]
        if codec.narrow:
            tensors = _in_batches(self.tail.widen, self.cut, tensors)
        return tensors, taken

    @cached_property
    def narrow(self) -> list[Array]:
        """The tensors as they cross by the bottleneck."""
        return _in_batches(self.head.narrow, self.cut, self.values)

    @property
    def boundary(self) -> Boundary:
        """The boundary at the cut."""
        return self.tail.bundle.manifest.boundaries[self.cut]

    def change(self, plain: Array, changed: Array) -> float:
        """Return how far changed answers are from what they were; see `Effect`."""
        classes = self.tail.bundle.manifest.answer == "class"
        return (_divergence if classes else _distance)(plain, changed)

    def effect(self, at: int) -> Effect:
        """Return what a change of tensor ``at`` does to the tail's answers."""
        macs = sum(spec.macs for spec in self.tail.bundle.manifest.segments[self.cut :])
        least, most = LOOK_SAMPLES
        count = min(max(int(LOOK_MACS / max(macs, 1)), least), most, len(self.plain))
        lossy = [spec.elements for spec in self.boundary.tensors if spec.dtype == "float32"]

        def change(changed: Array) -> float:
            rows = [array[: len(changed)] for array in self.values]
            rows[at] = changed
            return self.change(self.plain[: len(changed)], answer(self.tail, self.cut, rows))

        share = self.boundary.tensors[at].elements / max(sum(lossy), 1)
        return Effect(self.values[at][:FIT_SAMPLES], change, count, share)


def fit_levels(crossing: Crossing, names: Sequence[str]) -> tuple[Boundary, Learnt]:
    """Return the boundary with those levels, calibrated, that can carry one of its tensors."""
    boundary = crossing.boundary
    levels: dict[str, list[dict[str, float]]] = {
        name: []
        for name in names
        if any(codec_of(name, spec, boundary).name == name for spec in boundary.tensors)
    }
    arrays: Learnt = {name: {} for name in levels}
    for at, spec in enumerate(boundary.tensors):
        effect = crossing.effect(at)
        for name, fitted in levels.items():
            codec = codec_of(name, spec, boundary)
            samples = crossing.narrow[at][:FIT_SAMPLES] if codec.of_latents else effect.samples
            codec = codec.fit(samples, effect)
            numbers, learnt = split_parameters(
                crossing.cut, codec.name, spec.name, codec.parameters()
            )
            fitted.append(numbers)
            arrays[name] |= learnt
    given = {name: tuple(fitted) for name, fitted in levels.items()}
    return boundary.model_copy(update={"levels": given}), arrays


def screen(crossing: Crossing, fitted: Boundary, learnt: Learnt) -> Boundary:
    """Return the boundary with those levels that a few samples do not already speak against."""
    few = replace(
        crossing,
        values=[array[:SCREENED] for array in crossing.values],
        plain=crossing.plain[:SCREENED],
    )
    boundaries = list(crossing.tail.bundle.manifest.boundaries)
    boundaries[crossing.cut] = fitted
    arrays = {name: array for found in learnt.values() for name, array in found.items()}
    known, recorded = BundleCodecs(boundaries, arrays), {}
    for level in fitted.levels:
        outputs, sizes = few.record(known, level)
        recorded[level] = Recorded(sizes, max(crossing.change(few.plain, outputs), UNSEEN))
    return with_levels(fitted, frontier_levels(recorded))


def with_levels(boundary: Boundary, kept: Iterable[str]) -> Boundary:
    """Return a boundary with some of its levels, and no later exits."""
    levels = {name: boundary.levels[name] for name in kept}
    return boundary.model_copy(update={"levels": levels, "later": None})


def _in_batches(
    run: Callable[[int, list[Array]], list[Array]], cut: int, tensors: list[Array]
) -> list[Array]:
    """Return what becomes of the tensors of a cut, a few samples at a time."""
    parts = [run(cut, rows) for rows in batches(tensors)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def answer(network: Network, cut: int, tensors: list[Array]) -> Array:
    """Return the model's first output for all samples, from the tensors of a cut."""
    return np.concatenate([network.run(cut, network.depth, rows)[0] for rows in batches(tensors)])


def follow(network: Network, cut: int, tensors: list[Array], exits: tuple[int, ...]) -> Followed:
    """Run a tail with some exits behind the cut; nothing leaves at them."""
    parts = [_follow_batch(network, cut, exits, rows) for rows in batches(tensors)]
    *logits, end = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Followed(exits, tuple(logits), end)


def _follow_batch(
    network: Network, cut: int, exits: tuple[int, ...], values: list[Array]
) -> list[Array]:
    """Return the logits of some exits, and last the end's output."""
    codes: Codes = {}
    made, at = [], cut
    for number in exits:
        boundary = network.bundle.manifest.exits[number].boundary
        values, at = network.run(at, boundary, values), boundary
        made.append(network.exit_logits(number, values, codes))
    return [*made, network.run(at, network.depth, values)[0]]


def batches(tensors: list[Array]) -> Iterator[list[Array]]:
    """Yield the tensors a few samples at a time."""
    for start in range(0, len(tensors[0]), BATCH):
        yield [array[start : start + BATCH] for array in tensors]


def _divergence(plain: Array, changed: Array) -> float:
    """Return the mean Kullback-Leibler divergence of answers from what they were, in nats."""
    was, now = (log_softmax(as_logits(z)) for z in (plain, changed))
    return float((np.exp(was) * (was - now)).sum(axis=-1).mean())


def _distance(plain: Array, changed: Array) -> float:
    """Return the mean square of how far answers are from what they were, relative to those."""
    was, now = (z.reshape(len(z), -1).astype(np.float64) for z in (plain, changed))
    power = np.maximum(np.square(was).sum(axis=1), 1e-30)
    return float((np.square(now - was).sum(axis=1) / power).mean())
