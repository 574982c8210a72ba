"""What a context codec has learnt: steps, predictions, probabilities, and what codes stand for.

`fit_model` learns them from samples. For the code ``q`` of a place in channel ``c``, with ``n_k``
the codes of its six neighbours,

    magnitude = a_c + sum_k u_ck |n_k|        mean = b_c + sum_k v_ck n_k

are least squares predictions of ``|q|`` and ``q``. Where no code is negative the mean says nothing
new and is left out. Both are binned, into bins of about equal mass; a pair of bins is a context,
with frequencies and centroids of its own, for all channels alike. That the decoder takes the
centroid of a code *in its context*, above all of zero, saves 10 to 25 per cent of the bytes at the
same change of a tail's answers.

A model of the changes since an earlier sample (`fit_changes`) knows that sample's codes: they are
planes before its own, and may be two of the neighbours. What is far from zero there varies most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Self

import numpy as np

from offramp.codecs import context_coder as coder
from offramp.errors import ConfigError
from offramp.tensors import Array

__all__ = ["ContextModel", "Quantiser", "fit_changes", "fit_model", "warm_up"]

SYMBOLS = 48
"""The most codes that have a frequency of their own; those beyond are escaped."""
MAGNITUDES, MEANS = 24, 7
"""The most bins of predictions."""

_RIDGE = 1e-3
_SEEN = 127  # predictions are learnt from no larger codes
_PRIOR = 4.0  # occurrences that a context borrows from all contexts together
_RARE = 5e-4  # the share of codes that may be escaped at either end
_TOTAL = 1 << coder.PRECISION
_LARGEST_WEIGHT = 64 << coder.SCALE


@dataclass(frozen=True)
class Quantiser:
    """Uniform steps for each channel around ``offsets``, both float32 (C,).

    ``rounding`` in (0, 1) is added to a magnitude, in steps, before it is cut off: below 0.5 more
    values become zero. With ``sparse`` no value is below its offset, and codes are not negative.
    """

    offsets: Array
    steps: Array
    rounding: float
    sparse: bool


@dataclass(frozen=True, eq=False)
class ContextModel:
    """What both ends know of a tensor seen as (C, H, W), of which codes lie flat (`coder.blank`).

    ``offsets`` and ``steps`` float32 (C,), ``rounding`` float32 () and ``lowest`` int32 (), the
    least code that is not escaped, quantise. ``sources`` int32 (C, 2) are the earlier planes that
    predict, the number of all for none; ``weights`` int32 (C, 2, 6) and ``bias`` int32 (C, 2)
    predict magnitude and mean; ``lookups`` int32 (2, 1024) bin these. ``cumulative`` int32
    (contexts, symbols + 1) and ``shifts`` float32 (contexts, symbols) are each context's
    frequencies and centroids, in steps from the code. ``known`` planes of codes come before those
    of the channels. Raises `ConfigError` for arrays that do not fit together.
    """

    offsets: Array
    steps: Array
    rounding: Array
    lowest: Array
    sources: Array
    weights: Array
    bias: Array
    lookups: Array
    cumulative: Array
    shifts: Array
    known: int = 0
    _inverse: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_inverse", (1 / self.steps).astype(np.float32))

    @property
    def channels(self) -> int:
        """C."""
        return len(self.steps)

    @cached_property
    def sight(self) -> coder.Sight:
        """What finds contexts."""
        return _sight(self.sources, self.weights, self.bias, self.lookups, self.known)

    @property
    def sparse(self) -> bool:
        """Whether no code is negative."""
        return int(self.lowest) == 0

    def arrays(self) -> dict[str, Array]:
        """Return every array by its name; ``known`` is none."""
        return {name: getattr(self, name) for name in _names()}

    @classmethod
    def of(cls, arrays: Mapping[str, Array], known: int = 0) -> Self:
        """Return the model of stored arrays; raise `ConfigError` if they are none."""
        if set(arrays) != set(_names()):
            raise ConfigError(
                f"a context model has the arrays {', '.join(_names())}, "
                f"not {', '.join(sorted(arrays)) or 'none'}"
            )
        return cls(**{name: np.array(array) for name, array in arrays.items()}, known=known)

    def encode(self, values: Array) -> bytes | None:
        """Return the payload of float32 (C, H, W); None if a value is not finite."""
        codes = self.codes(values)
        return None if codes is None else self.write(codes, values.shape)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, ...]) -> Array | None:
        """Return float32 ``shape`` (C, H, W); None for a payload that `encode` did not write."""
        return self.read(payload, coder.blank(shape), shape)

    def codes(self, values: Array) -> Array | None:
        """Return the codes of float32 (C, H, W); None if a value is not finite."""
        scale = (self.offsets, self._inverse, self.rounding[()], self.sparse)
        codes, finite = coder.quantise(values, *scale)
        return codes if finite else None

    def write(self, codes: Array, shape: tuple[int, ...]) -> bytes:
        """Return the payload of codes for ``shape``, behind those of the known planes."""
        contexts = coder.contexts_of(codes, shape, self.sight)
        out = np.empty(coder.room_bytes(contexts.size), np.uint8)
        length = coder.encode(
            codes[self._start(codes) :], contexts, self.lowest[()], self.cumulative, out
        )
        return out[:length].tobytes()

    def read(
        self, payload: bytes | memoryview, codes: Array, shape: tuple[int, ...]
    ) -> Array | None:
        """Return float32 ``shape``, and fill in the codes, which are zero behind the known planes.

        None for a payload that `write` did not write.
        """
        out = np.empty(shape, np.float32)
        scale, tables = (self.offsets, self.steps), (self.lowest[()], self.cumulative, self.shifts)
        data = np.frombuffer(bytes(payload), np.uint8)
        return out if coder.decode(data, scale, tables, self.sight, codes, out) else None

    def values(self, codes: Array, shape: tuple[int, ...]) -> Array:
        """Return what codes stand for, as `decode` does."""
        return self._made(coder.plain(codes, shape), coder.contexts_of(codes, shape, self.sight))

    def through(self, values: Array) -> Array:
        """Return what becomes of samples, float32 (N, C, H, W), that are finite."""
        quantiser = Quantiser(self.offsets, self.steps, float(self.rounding), self.sparse)
        codes = _quantised(values, quantiser)
        return self._made(codes, _contexts(self.sight, codes))

    def _made(self, codes: Array, contexts: Array) -> Array:
        """Return what codes (..., C, H, W) stand for in their contexts."""
        symbols = np.clip(codes - self.lowest, 0, self.shifts.shape[1] - 1)
        found = codes + self.shifts[contexts, symbols].astype(np.float64)  # as compiled loops do
        return np.asarray(
            found * self.steps[:, None, None] + self.offsets[:, None, None], np.float32
        )

    def _start(self, codes: Array) -> int:
        """Return where the channels' own codes begin."""
        return self.known * (len(codes) // (self.known + self.channels + 1))


def fit_model(values: Array, quantiser: Quantiser) -> ContextModel:
    """Return the model of samples, float32 (N, C, H, W), for a quantiser."""
    codes = _quantised(values, quantiser)
    residual = (values - quantiser.offsets[:, None, None]) / quantiser.steps[:, None, None] - codes
    return _fit(quantiser, codes, 0, residual)


def fit_changes(before: Array, after: Array) -> ContextModel:
    """Return the model of the changes of codes, int16 (N, C, H, W), from those ``before``."""
    channels = before.shape[1]
    none = np.zeros(channels, np.float32)
    whole = Quantiser(none, none + 1, 0.5, sparse=False)
    changes = np.subtract(after, before, dtype=np.int32).clip(-coder.LARGEST, coder.LARGEST)
    planes = np.concatenate((before, changes.astype(np.int16)), axis=1)
    return _fit(whole, planes, channels, np.zeros(after.shape))


def _fit(quantiser: Quantiser, planes: Array, known: int, residual: Array) -> ContextModel:
    """Return the model of the planes behind the known ones, of which ``residual`` is lost."""
    codes = planes[:, known:]
    sight = _look(planes, known, quantiser.sparse)
    contexts = _contexts(sight, planes)
    count = (int(sight.lookups[0].max()) + 1) * sight.means
    lowest, symbols = _alphabet(codes, quantiser.sparse)
    index = (contexts * symbols + np.clip(codes - lowest, 0, symbols - 1)).ravel()
    places = np.bincount(index, minlength=count * symbols).reshape(count, symbols)
    sums = np.bincount(index, residual.ravel(), count * symbols).reshape(count, symbols)
    return ContextModel(
        quantiser.offsets,
        quantiser.steps,
        np.array(quantiser.rounding, np.float32),
        np.array(lowest, np.int32),
        sight.sources,
        sight.weights,
        sight.bias,
        sight.lookups,
        _cumulative(places),
        _shifts(places, sums),
        known,
    )


def _sight(sources: Array, weights: Array, bias: Array, lookups: Array, known: int) -> coder.Sight:
    return coder.Sight(sources, weights, bias, lookups, int(lookups[1].max()) + 1, known)


def _contexts(sight: coder.Sight, planes: Array) -> Array:
    """Return the context of every code, int32 (N, C, H, W), from planes with the known ones."""
    flat = np.pad(planes, ((0, 0), (0, 1), (1, 0), (1, 1))).reshape(len(planes), -1)
    shape = (planes.shape[1] - sight.known, *planes.shape[2:])
    return np.stack([coder.contexts_of(one, shape, sight) for one in flat])


def _quantised(values: Array, quantiser: Quantiser) -> Array:
    """Return the codes of samples, int16 (N, C, H, W)."""
    inverse = (1 / quantiser.steps).astype(np.float32)
    rounding = np.float32(quantiser.rounding)
    found = [
        coder.quantise(one, quantiser.offsets, inverse, rounding, quantiser.sparse)[0]
        for one in values
    ]
    return np.stack([coder.plain(codes, values.shape[1:]) for codes in found])


def _look(planes: Array, known: int, sparse: bool) -> coder.Sight:
    """Return predictions of magnitude and mean, and their bins."""
    seen = np.clip(planes, -_SEEN, _SEEN).astype(np.float32)
    sources = _sources(np.abs(seen), known)
    sizes = _predict(np.abs(seen), sources)
    signs = (
        (np.zeros_like(sizes[0]), np.zeros_like(sizes[1])) if sparse else _predict(seen, sources)
    )
    weights, bias = np.stack((sizes[0], signs[0]), 1), np.stack((sizes[1], signs[1]), 1)
    none, every = np.zeros(coder.BINS, np.int32), np.arange(coder.BINS, dtype=np.int32)

    def found(*lookups: Array) -> Array:
        return _contexts(_sight(sources, weights, bias, np.stack(lookups), known), planes)

    magnitudes = _bins(found(every, none), MAGNITUDES)
    means = none if sparse else _bins(found(none, every), MEANS)
    return _sight(sources, weights, bias, np.stack((magnitudes, means)), known)


def _sources(size: Array, known: int) -> Array:
    """Return for each plane that is not known the two earlier ones that vary most alike.

    As int32 (C, 2).
    """
    count = size.shape[1]
    rows = size.transpose(1, 0, 2, 3).reshape(count, -1)
    rows = rows - rows.mean(1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1)
    rows /= np.maximum(norms, 1e-9)[:, None]
    alike = np.tril(np.abs(rows @ rows.T), -1)[known:]
    found = np.argsort(-alike, axis=1, kind="stable")[:, :2]
    found = np.pad(found, ((0, 0), (0, 2 - found.shape[1])), constant_values=count)
    is_one = np.take_along_axis(np.pad(alike, ((0, 0), (0, 1))), found, 1) > 0
    return np.ascontiguousarray(np.where(is_one, found, count).astype(np.int32))


def _predict(seen: Array, sources: Array) -> tuple[Array, Array]:
    """Return least squares weights (C, 6) and bias (C,) in whole units, int32.

    They predict the last C planes of ``seen``, float32 (N, P, H, W), which has known ones first.
    """
    count, planes, height, width = seen.shape
    padded = np.zeros((count, planes + 1, height + 1, width + 2), np.float32)
    padded[:, :planes, 1:, 1:-1] = seen
    channels = len(sources)
    weights = np.zeros((channels, coder.TAPS), np.int32)
    bias = np.zeros(channels, np.int32)
    for c, at in enumerate(range(planes - channels, planes)):
        here, (one, two) = padded[:, at], sources[c]
        taps = (
            here[:, 1:, :-2],
            here[:, :-1, 1:-1],
            here[:, :-1, :-2],
            here[:, :-1, 2:],
            padded[:, one, 1:, 1:-1],
            padded[:, two, 1:, 1:-1],
        )
        wanted = seen[:, at].ravel()
        given = np.stack([*(tap.ravel() for tap in taps), np.ones_like(wanted)])
        gram = given @ given.T
        gram[np.diag_indices(coder.TAPS)] += _RIDGE * given.shape[1]
        found = np.linalg.solve(gram.astype(np.float64), given @ wanted)
        found = np.clip(found * (1 << coder.SCALE), -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        whole = np.rint(found).astype(np.int32)
        weights[c], bias[c] = whole[:-1], whole[-1]
    return weights, bias


def _bins(found: Array, most: int) -> Array:
    """Return the bin of each of the `coder.BINS` predictions, so that bins have equal mass."""
    mass = np.bincount(found.ravel(), minlength=coder.BINS).astype(np.float64)
    share = (np.cumsum(mass) - mass / 2) / mass.sum()
    bins = np.minimum((share * most).astype(np.int64), most - 1)
    return np.asarray(np.unique(bins, return_inverse=True)[1], np.int32)


def _alphabet(codes: Array, sparse: bool) -> tuple[int, int]:
    """Return the least code with a frequency of its own, and how many there are."""
    low, high = np.quantile(codes, (_RARE, 1 - _RARE), method="nearest")
    most = SYMBOLS - 2 if sparse else SYMBOLS // 2 - 1
    lowest = 0 if sparse else -min(int(max(-low, 0)) + 1, most)
    return lowest, min(int(max(high, 0)) + 1, most) - lowest + 1


def _cumulative(places: Array) -> Array:
    """Return cumulative frequencies of which none is zero and all add up to the total."""
    every = places.sum(0) + 1 / len(places)
    wanted = places + _PRIOR * every / every.sum()
    wanted *= (_TOTAL - places.shape[1]) / wanted.sum(1, keepdims=True)
    whole = wanted.astype(np.int64) + 1
    rows = np.arange(len(whole))
    whole[rows, whole.argmax(1)] += _TOTAL - whole.sum(1)
    return np.pad(np.cumsum(whole, axis=1), ((0, 0), (1, 0))).astype(np.int32)


def _shifts(places: Array, sums: Array) -> Array:
    """Return the mean residual of each code in each context."""
    alike = sums.sum(0) / np.maximum(places.sum(0), 1)
    shifts = (sums + _PRIOR * alike) / (places + _PRIOR)
    shifts[:, [0, -1]] = np.clip(shifts[:, [0, -1]], -1, 1)  # escapes stand there too
    return np.asarray(shifts, np.float32)


def _names() -> list[str]:
    return [one.name for one in fields(ContextModel) if one.init and one.name != "known"]


def _check(model: ContextModel) -> None:
    """Raise `ConfigError` for what the compiled loops, which check no index, cannot be given."""
    channels, (contexts, ends) = model.steps.size, (*model.cumulative.shape, 0, 0)[:2]
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {
        "offsets": (np.float32, (channels,)),
        "steps": (np.float32, (channels,)),
        "rounding": (np.float32, ()),
        "lowest": (np.int32, ()),
        "sources": (np.int32, (channels, 2)),
        "weights": (np.int32, (channels, 2, coder.TAPS)),
        "bias": (np.int32, (channels, 2)),
        "lookups": (np.int32, (2, coder.BINS)),
        "cumulative": (np.int32, (contexts, ends)),
        "shifts": (np.float32, (contexts, ends - 1)),
    }
    for name, (dtype, shape) in shapes.items():
        array = getattr(model, name)
        if array.dtype != dtype or array.shape != shape:
            raise ConfigError(f"{name} of a context model is {dtype.__name__} of {shape}")
    earlier = model.known + np.arange(channels)[:, None]
    sources, cumulative = model.sources, model.cumulative
    magnitudes, means = (int(most) + 1 for most in model.lookups.max(axis=1))
    sound = (
        np.isfinite(model.offsets).all()
        and np.isfinite(model.shifts).all()
        and _within(model.steps, 1e-37, 1e38)
        and 0 < model.rounding < 1
        and 2 <= ends <= SYMBOLS + 1
        and 2 - ends <= model.lowest <= 0
        and ((sources == model.known + channels) | ((sources >= 0) & (sources < earlier))).all()
        and model.lookups.min() >= 0
        and magnitudes * means <= contexts  # as whole numbers of any size
        and _within(model.weights, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        and _within(model.bias, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        and (cumulative[:, 0] == 0).all()
        and (cumulative[:, -1] == _TOTAL).all()
        and (cumulative[:, 1:] > cumulative[:, :-1]).all()
    )
    if not sound:
        raise ConfigError("a context model has values out of range; compile the bundle again")


def _within(values: Array, low: float, high: float) -> bool:
    """Tell whether all values lie between two ends; not-a-number does not."""
    return bool(((values >= low) & (values <= high)).all())


def warm_up() -> None:
    """Let every loop be compiled, or loaded as it was compiled before."""
    values = np.zeros((1, 1, 1), np.float32)
    values.flags.writeable = False
    one = np.ones(1, np.float32)
    model = fit_model(values[None], Quantiser(0 * one, one, 0.5, True))
    payload = model.encode(values)
    assert payload is not None
    model.decode(payload, (1, 1, 1))
