"""Steps by effect: how finely each channel of a tensor is to be quantised.

To first order a channel's mean square error ``e_c`` changes the answers by ``w_c e_c``. With the
rate of a uniform quantiser, log2(1 / step) bits an element, the sum of rates is least at a given
total change if every ``w_c e_c`` is the same: ``step_c`` is inverse to the square root of ``w_c``
(reverse water-filling; Cover and Thomas, section 10.3). The ``w_c`` are measured, a few groups of
channels at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from offramp.codecs.effect import Effect
from offramp.codecs.planes import Planes
from offramp.tensors import Array

__all__ = ["find_scale", "relative_steps"]

_GROUPS = 12  # of channels that have like deviations and are tried together
_PROBE = 0.5  # in standard deviations: the step at which channels are tried
_RANGE = 32.0  # the most by which measured weights may differ from those of equal deviations
_TRIES = 8
_CLOSE = 0.08


def relative_steps(effect: Effect, planes: Planes) -> Array:
    """Return a step for each channel, float64 (C,): any multiple spreads the loss best.

    The unit is such that a step of 1 in one channel, whose mean square error is step ** 2 / 12,
    would alone change the answers by 1 / 12.
    """
    return effect.remember(("steps", planes.axis), lambda: _relative_steps(effect, planes))


def _relative_steps(effect: Effect, planes: Planes) -> Array:
    samples = planes.view(effect.samples)
    channels = samples.shape[1]
    deviation = samples.std(axis=(0, 2, 3), dtype=np.float64)
    probed = samples[: effect.count]
    weights = np.full(channels, np.nan)
    for group in np.array_split(np.argsort(deviation, kind="stable"), min(_GROUPS, channels)):
        changed, steps = probed.copy(), (_PROBE * deviation[group]).astype(np.float32)
        part, width = changed[:, group], np.where(steps > 0, steps, 1)[:, None, None]
        rounded = np.rint(part / width) * width
        changed[:, group] = rounded
        error = float(np.square(rounded - part, dtype=np.float64).mean(axis=(0, 2, 3)).sum())
        if error > 0:
            weights[group] = effect.change(planes.restore(changed)) / error
    power = np.maximum(np.square(deviation), 1e-12 * max(float(np.square(deviation).max()), 1e-30))
    relative = weights * power  # 1 for all if answers hang on every channel alike
    known = relative[np.isfinite(relative) & (relative > 0)]
    middle = float(np.median(known)) if known.size else 1.0
    relative = np.clip(np.nan_to_num(relative, nan=middle), middle / _RANGE, middle * _RANGE)
    return np.asarray(np.sqrt(power / relative))


def find_scale(
    change_at: Callable[[float], float], allowed: float, start: float, largest: float
) -> float:
    """Return the scale at which ``change_at``, which grows with it, is about ``allowed``.

    At most ``largest``. Searched where change grows as a power of scale.
    """
    low = high = None
    scale = min(start, largest)
    for tried in range(_TRIES):
        change = max(change_at(scale), 1e-12)
        if abs(change / allowed - 1) < _CLOSE or (scale == largest and change < allowed):
            return scale
        point = math.log(scale), math.log(change)
        low, high = (point, high) if change < allowed else (low, point)
        if low and high:
            part = (math.log(allowed) - low[1]) / max(high[1] - low[1], 1e-9)
            scale = math.exp(low[0] + min(max(part, 0.1), 0.9) * (high[0] - low[0]))
        else:
            towards = math.sqrt(allowed / change)
            if tried and change > allowed:  # still: it is no power law there, it saturates
                towards = min(towards, 0.5)
            scale = min(scale * min(max(towards, 0.1), 10.0), largest)
    return math.exp(low[0]) if low else scale
