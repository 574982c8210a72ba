"""The compiled loops of the context codecs: they quantise, model and code element by element.

Elements are visited channel by channel, row by row. The codes of four neighbours that came before
(left, above, and the two beside the one above) and of two earlier channels at the same place
predict each code's magnitude and mean; the two predictions, binned, are its context. What both
ends must agree on is computed in whole numbers, so every machine finds the same contexts.

Planes that both ends know already may lie before the channels that are coded; they predict like
earlier channels.

The range coder is that of LZMA (after Martin, 1979) with 15 bits of probability. Its first byte is
always zero and left out; its last ones are chosen to be zeros where they can, and left out too. A
reader takes zeros for what is missing.
"""

# numba compiles what follows; it knows types by itself.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int32, int64

from offramp.compiled import compiled
from offramp.tensors import Array

__all__ = [
    "BINS",
    "PRECISION",
    "SCALE",
    "TAPS",
    "LARGEST",
    "Sight",
    "blank",
    "contexts_of",
    "decode",
    "encode",
    "plain",
    "quantise",
    "room_bytes",
]

PRECISION = 15
"""The frequencies of a context add up to 2 ** PRECISION."""
SCALE = 8
"""Weights of predictions are whole multiples of 2 ** -SCALE."""
BINS = 1024
"""Predictions are told apart in so many steps of 1 / 16."""
TAPS = 6
"""Neighbours that predict: left, above, above left, above right, and the same place twice."""

_COARSER = SCALE - 4
LARGEST, ZERO = np.float32(32_000), np.float32(0)
"""No code is larger."""
NARROW = 20_000
"""Predictions from codes no larger than that fit into 32 bits."""
_FULL = 0xFFFFFFFF
_TOP = 1 << 24
_ESCAPE_BITS = 14  # follow the first one of the largest excess


class Sight(NamedTuple):
    """What finds the context of a code: its arrays are those of a `ContextModel`.

    ``means`` is the number of bins of predicted means, ``known`` that of planes before the coded
    ones.
    """

    sources: Array
    weights: Array
    bias: Array
    lookups: Array
    means: int
    known: int


@compiled
def blank(shape):
    """Return zeros, int16, for the flat codes of (C, H, W).

    A channel is a plane of rows, with a zero before and behind each row, a row of zeros above the
    first and a plane of zeros behind the last channel.
    """
    channels, height, width = shape
    return np.zeros((channels + 1) * (height + 1) * (width + 2), np.int16)


@compiled
def _taps(sight, c, what):
    """Return a channel's weights and bias for one prediction."""
    one = sight.weights[c, what]
    return (
        int64(one[0]),
        int64(one[1]),
        int64(one[2]),
        int64(one[3]),
        int64(one[4]),
        int64(one[5]),
        int64(sight.bias[c, what]),
    )


@compiled
def _distances(sight, c, plane):
    """Return how far away the two planes lie that predict a channel."""
    here = sight.known + c
    return (sight.sources[c, 0] - here) * plane, (sight.sources[c, 1] - here) * plane


@compiled
def _magnitude(codes, place, stride, first, second, taps, lookups):
    """Return the bin of the predicted magnitude at a place, from codes before it.

    The predicting channels are ``first`` and ``second`` places away.
    """
    found = taps[6]
    found += taps[0] * abs(codes[place - 1]) + taps[1] * abs(codes[place - stride])
    found += taps[2] * abs(codes[place - stride - 1]) + taps[3] * abs(codes[place - stride + 1])
    found += taps[4] * abs(codes[place + first]) + taps[5] * abs(codes[place + second])
    return int64(lookups[0, min(max(found >> _COARSER, 0), BINS - 1)])


@compiled
def _mean(codes, place, stride, first, second, taps, lookups):
    """Return the bin of the predicted mean at a place, from codes before it."""
    found = taps[6]
    found += taps[0] * codes[place - 1] + taps[1] * codes[place - stride]
    found += taps[2] * codes[place - stride - 1] + taps[3] * codes[place - stride + 1]
    found += taps[4] * codes[place + first] + taps[5] * codes[place + second]
    return int64(lookups[1, min(max((found >> _COARSER) + BINS // 2, 0), BINS - 1)])


@compiled
def quantise(values, offsets, inverse_steps, rounding, sparse):
    """Return the flat codes of float32 (C, H, W), and whether all values are finite."""
    channels, height, width = values.shape
    stride = width + 2
    plane = (height + 1) * stride
    codes = blank(values.shape)
    infinite = 0
    for c in range(channels):
        offset, inverse_step = offsets[c], inverse_steps[c]
        for y in range(height):
            place = c * plane + (y + 1) * stride + 1
            given, row = values[c, y], codes[place : place + width]
            if sparse:
                for x in range(width):
                    scaled = (given[x] - offset) * inverse_step
                    infinite += int32(scaled - scaled != 0)  # as vectors allow it
                    row[x] = int32(min(max(scaled, ZERO), LARGEST) + rounding)
            else:
                for x in range(width):
                    scaled = (given[x] - offset) * inverse_step
                    infinite += int32(scaled - scaled != 0)
                    size = int32(min(abs(scaled), LARGEST) + rounding)
                    row[x] = -size if scaled < 0 else size
    return codes, infinite == 0


@compiled
def contexts_of(codes, shape, sight):
    """Return the context of every code, int32 ``shape`` (C, H, W); ``codes`` lie flat.

    Planes that are known lie before them.
    """
    height, width = shape[1], shape[2]
    room = height * (width + 2) - 2
    lowest = highest = codes[0]
    for at in range(codes.size):
        lowest, highest = min(lowest, codes[at]), max(highest, codes[at])
    if lowest >= -NARROW and highest <= NARROW:
        return _contexts(codes, shape, sight, np.empty(room, np.int32))
    return _contexts(codes, shape, sight, np.empty(room, np.int64))


@compiled
def _contexts(codes, shape, sight, found):
    """Return the contexts; a plane's predictions go to ``found``, of whole numbers wide enough."""
    channels, height, width = shape
    stride = width + 2
    plane = (height + 1) * stride
    contexts = np.empty(shape, np.int32)
    lookups, means = sight.lookups, sight.means
    for c in range(channels):
        place = (sight.known + c) * plane + stride + 1
        _predict(codes, place, stride, _distances(sight, c, plane), _taps(sight, c, 0), 0, found)
        for y in range(height):
            for x in range(width):
                bin_ = min(max(found[y * stride + x] >> _COARSER, 0), BINS - 1)
                contexts[c, y, x] = means * lookups[0, bin_]
        if means > 1:
            _predict(
                codes, place, stride, _distances(sight, c, plane), _taps(sight, c, 1), 1, found
            )
            for y in range(height):
                for x in range(width):
                    bin_ = (found[y * stride + x] >> _COARSER) + BINS // 2
                    contexts[c, y, x] += lookups[1, min(max(bin_, 0), BINS - 1)]
    return contexts


@compiled
def _predict(codes, place, stride, distances, taps, what, found):
    """Write the predicted magnitude (``what`` 0) or mean (1) of a plane's codes to ``found``.

    From ``place`` on, those between two rows too: one long loop runs as vectors.
    """
    count = len(found)
    left, above = codes[place - 1 :][:count], codes[place - stride :][:count]
    before, behind = codes[place - stride - 1 :][:count], codes[place - stride + 1 :][:count]
    one, two = codes[place + distances[0] :][:count], codes[place + distances[1] :][:count]
    a, b, c = int32(taps[0]), int32(taps[1]), int32(taps[2])
    d, e, f, bias = int32(taps[3]), int32(taps[4]), int32(taps[5]), int32(taps[6])
    if what == 0:
        for x in range(count):
            near = a * abs(int32(left[x])) + b * abs(int32(above[x]))
            beside = c * abs(int32(before[x])) + d * abs(int32(behind[x]))
            far = e * abs(int32(one[x])) + f * abs(int32(two[x]))
            found[x] = bias + near + beside + far
    else:
        for x in range(count):
            near = a * int32(left[x]) + b * int32(above[x])
            beside = c * int32(before[x]) + d * int32(behind[x])
            far = e * int32(one[x]) + f * int32(two[x])
            found[x] = bias + near + beside + far


@compiled
def plain(codes, shape):
    """Return flat codes as int16 (C, H, W)."""
    channels, height, width = shape
    return codes.reshape(channels + 1, height + 1, width + 2)[:-1, 1:, 1:-1].copy()


@compiled
def _shift(low, cache, pending, out, at):
    """Move the top byte of ``low`` out, or let it wait for a carry."""
    if low < 0xFF000000 or low > _FULL:
        carry = low >> 32
        if cache >= 0:
            out[at] = (cache + carry) & 0xFF
            at += 1
        for _ in range(pending):
            out[at] = (0xFF + carry) & 0xFF
            at += 1
        pending = 0
        cache = (low >> 24) & 0xFF
    else:
        pending += 1
    return (low & 0xFFFFFF) << 8, cache, pending, at


@compiled
def _finish(low, span, cache, pending, out, at):
    """Write the shortest end and return how many bytes there are."""
    for spare in range(32, -1, -8):
        mask = (1 << spare) - 1
        end = (low + mask) & ~mask
        if end < low + span:
            low = end
            break
    for _ in range(5):
        low, cache, pending, at = _shift(low, cache, pending, out, at)
    while at > 0 and out[at - 1] == 0:
        at -= 1
    return at


@compiled
def _write_excess(excess, low, span, cache, pending, out, at):
    """Write an Elias gamma code: as many zeros as bits follow the first one."""
    bits = 0
    while excess >> (bits + 1):
        bits += 1
    for shift in range(2 * bits, -1, -1):
        span >>= 1
        if shift <= bits and (excess >> shift) & 1:
            low += span
        if span < _TOP:
            low, cache, pending, at = _shift(low, cache, pending, out, at)
            span <<= 8
    return low, span, cache, pending, at


@compiled
def _byte(payload, at):
    return int(payload[at]) if at < payload.size else 0


@compiled
def _read_excess(payload, span, word, at):
    """Return what `_write_excess` wrote, 0 if it is longer than any, and where reading goes on."""
    zeros, left, excess = 0, -1, 0
    while left:
        span >>= 1
        bit = 0
        if word >= span:
            word -= span
            bit = 1
        if span < _TOP:
            word = word << 8 | _byte(payload, at)
            at += 1
            span <<= 8
        if left > 0:
            excess = excess << 1 | bit
            left -= 1
        elif bit:
            excess, left = 1, zeros
        else:
            zeros += 1
            if zeros > _ESCAPE_BITS:
                return 0, span, word, at
    return excess, span, word, at


def room_bytes(elements: int) -> int:
    """Return how much `encode` may write: at most 15 + 29 bits an element, and the end."""
    return 6 * elements + 16


@compiled
def encode(codes, contexts, lowest, cumulative, out):
    """Write flat codes to ``out`` and return how many bytes that took.

    ``cumulative`` is int32 (contexts, symbols + 1).
    """
    channels, height, width = contexts.shape
    stride = width + 2
    last = cumulative.shape[1] - 2
    low, span, cache, pending, at = 0, _FULL, -1, 0, 0
    for c in range(channels):
        for y in range(height):
            place = (c * (height + 1) + y + 1) * stride + 1
            for x in range(width):
                code, context = int64(codes[place + x]), contexts[c, y, x]
                symbol = min(max(code - lowest, 0), last)
                start = int64(cumulative[context, symbol])
                unit = span >> PRECISION
                low += start * unit
                span = unit * (cumulative[context, symbol + 1] - start)
                while span < _TOP:
                    low, cache, pending, at = _shift(low, cache, pending, out, at)
                    span <<= 8
                excess = 0
                if symbol == last:
                    excess = code - lowest - last + 1
                elif symbol == 0 and lowest < 0:
                    excess = lowest - code + 1
                if excess > 0:
                    low, span, cache, pending, at = _write_excess(
                        excess, low, span, cache, pending, out, at
                    )
    return _finish(low, span, cache, pending, out, at)


@compiled
def decode(payload, scale, tables, sight, codes, out):
    """Read flat codes, and write to ``out``, float32 (C, H, W), what each stands for.

    ``scale`` holds offsets and steps, ``tables`` the lowest code, cumulative frequencies and
    shifts, all as in a `ContextModel`. ``codes`` are zeros behind the planes that are known.
    Returns whether these were bytes of `encode`.
    """
    (offsets, steps), (lowest, cumulative, shifts) = scale, tables
    channels, height, width = out.shape
    stride = width + 2
    plane = (height + 1) * stride
    lookups, means = sight.lookups, sight.means
    last = cumulative.shape[1] - 2
    span, word, at = _FULL, 0, 4
    for early in range(4):
        word = word << 8 | _byte(payload, early)
    for c in range(channels):
        first, second = _distances(sight, c, plane)
        sizes, signs = _taps(sight, c, 0), _taps(sight, c, 1)
        for y in range(height):
            place = (sight.known + c) * plane + (y + 1) * stride
            for x in range(width):
                if word >= span:  # no sum of intervals; what follows would run out of bounds
                    return False
                place += 1
                context = means * _magnitude(codes, place, stride, first, second, sizes, lookups)
                if means > 1:
                    context += _mean(codes, place, stride, first, second, signs, lookups)
                unit = span >> PRECISION
                symbol = -lowest
                while symbol < last and cumulative[context, symbol + 1] * unit <= word:
                    symbol += 1
                while cumulative[context, symbol] * unit > word:
                    symbol -= 1
                start = cumulative[context, symbol]
                word -= start * unit
                span = unit * (cumulative[context, symbol + 1] - start)
                while span < _TOP:
                    word = word << 8 | _byte(payload, at)
                    at += 1
                    span <<= 8
                code = symbol + lowest
                if symbol == last or (symbol == 0 and lowest < 0):
                    excess, span, word, at = _read_excess(payload, span, word, at)
                    code += excess - 1 if symbol == last else 1 - excess
                    if excess == 0 or abs(code) > LARGEST:
                        return False
                codes[place] = code
                out[c, y, x] = (code + shifts[context, symbol]) * steps[c] + offsets[c]
    return at >= payload.size and word < span
