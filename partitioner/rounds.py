"""Rounds: the parts of a bundle on one backend, each run in turn and timed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from offramp.boundary_codec import BoundaryCodec, decode_boundary
from offramp.network import Network
from offramp.tensors import Array

__all__ = [
    "Times",
    "Values",
    "boundary_values",
    "time_call",
    "time_codecs",
    "time_heads",
    "time_tails",
]

Key = tuple[str, int | str]
Times = dict[Key, list[float]]
"""Seconds by part: head, tail, exit, encode or decode, and its number or "cut/level"."""
Values = list[list[Array]]
"""The tensors of every boundary for one sample, with a batch dimension of 1."""

_WARM_UP = 2
_TRIES = 3
_WAITED = 0.05  # the share of a call's time for which the process had no processor


def boundary_values(network: Network) -> Values:
    """Return what one of the bundle's examples is at every boundary."""
    values = [[array[:1] for array in network.bundle.examples]]
    for at in range(network.depth):
        values.append(network.run_segment(at, values[at]))
    return values


def time_heads(
    open_head: Callable[[int], Network], depth: int, inputs: list[Array], rounds: int
) -> Times:
    """Time every head; only one is loaded at a time, as on a board that runs it."""
    times: Times = {}
    for cut in range(1, depth + 1):
        network = open_head(cut)
        times |= _time({("head", cut): partial(network.run, 0, cut, inputs)}, rounds)
    return times


def time_tails(network: Network, values: Values, rounds: int) -> Times:
    """Time every tail, segment by segment, and every exit head."""
    depth, exits = network.depth, network.bundle.manifest.exits
    calls: dict[Key, Callable[[], object]] = {
        ("tail", cut): partial(network.run, cut, depth, values[cut]) for cut in range(depth)
    }
    for at, spec in enumerate(exits):
        calls["exit", at] = partial(network.exit_logits, at, values[spec.boundary])
    return _time(calls, rounds)


def time_codecs(network: Network, values: Values, rounds: int) -> Times:
    """Time encoding and decoding of every boundary at every level."""
    return _time(dict(_codec_calls(network, values)), rounds)


def _codec_calls(network: Network, values: Values) -> Iterator[tuple[Key, Callable[[], object]]]:
    for cut, boundary in enumerate(network.bundle.manifest.boundaries):
        sample = [array[0] for array in values[cut]]
        for level in boundary.levels:
            codec = BoundaryCodec(boundary, level)
            frames = codec.encode(sample)
            decode = partial(decode_boundary, limit_bytes=boundary.nbytes)
            yield ("encode", f"{cut}/{level}"), partial(codec.encode, sample)
            yield ("decode", f"{cut}/{level}"), partial(decode, frames, boundary.tensors)


def _time(calls: dict[Key, Callable[[], object]], rounds: int) -> Times:
    """Run every call once a round, so that a change of the machine's speed meets all alike."""
    times: Times = defaultdict(list)
    for _ in range(_WARM_UP):
        for call in calls.values():
            call()
    for _ in range(rounds):
        for key, call in calls.items():
            times[key].append(time_call(call))
    return times


def time_call(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes when the process has the processor to itself.

    A run during which other work had it is made again, twice at most; the least disturbed counts.
    A profile says what a part costs: what else a machine does is observed while samples stream.
    """
    runs = []
    for _ in range(_TRIES):
        started_s, used_s = time.perf_counter(), time.process_time()
        call()
        took_s = time.perf_counter() - started_s
        waited_s = took_s - (time.process_time() - used_s)
        if waited_s <= _WAITED * took_s:
            return took_s
        runs.append((waited_s, took_s))
    return min(runs)[1]
