"""What a device part takes on this machine, before and after it was slimmed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from offramp.training.samples import Batch

__all__ = ["Took", "time_device_parts"]

_FEWEST, _MOST, _ENOUGH_S = 7, 50, 2.0


@dataclass(frozen=True)
class Took:
    """Seconds that a sample took: the median of some runs and their quartiles."""

    median_s: float
    lower_s: float
    upper_s: float


def time_device_parts(models: Sequence[nn.Module], batch: Batch, until: str) -> list[Took]:
    """Run models on a batch until a sub-module has answered, in turn, and return what that took.

    They take turns, so that what else the machine does disturbs all alike: seven times at least,
    and up to fifty times within two seconds.
    """
    times: list[list[float]] = []
    _run_in_turn(models, batch, until)  # the first run of each is slower
    started = time.perf_counter()
    while len(times) < _FEWEST or (
        len(times) < _MOST and time.perf_counter() - started < _ENOUGH_S
    ):
        times.append(_run_in_turn(models, batch, until))
    lower, median, upper = np.quantile(times, (0.25, 0.5, 0.75), axis=0).tolist()
    return [Took(*taken) for taken in zip(median, lower, upper, strict=True)]


class _Reached(BaseException):
    """The sub-module has answered; no model catches this."""


def _run_in_turn(models: Sequence[nn.Module], batch: Batch, until: str) -> list[float]:
    return [_run(model.eval(), batch, until) for model in models]


def _run(model: nn.Module, batch: Batch, until: str) -> float:
    def stop(*_: object) -> None:
        raise _Reached

    hook = model.get_submodule(until).register_forward_hook(stop)
    started = time.perf_counter()
    try:
        with torch.no_grad():
            model(*batch.positional, **batch.keyword)
    except _Reached:
        pass
    finally:
        hook.remove()
    return time.perf_counter() - started
