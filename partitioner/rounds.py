"""Rounds: the parts of a bundle on one backend, each run in turn and timed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from offramp.exits.evidence import as_logits, summarise
from offramp.exits.fitted import load_policy
from offramp.exits.recording import evidence_of
from offramp.network import Codes, Network
from offramp.tensors import Array

__all__ = [
    "Rounds",
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
_WAITED = 0.05  # the share of a call's time for which it had no processor


@dataclass(frozen=True)
class Rounds:
    """How parts are timed: how often each, and on how many threads.

    ``begin`` is called before each round; what it raises ends the measuring.
    """

    count: int
    threads: int = 1
    begin: Callable[[], None] = lambda: None

    def time(self, calls: dict[Key, Callable[[], object]]) -> Times:
        """Run every call once a round: a change of the machine's speed meets all alike."""
        times: Times = defaultdict(list)
        for at in range(_WARM_UP + self.count):
            self.begin()
            for key, call in calls.items():
                if at < _WARM_UP:
                    call()
                else:
                    times[key].append(time_call(call, self.threads))
        return times


def boundary_values(network: Network) -> Values:
    """Return what one of the bundle's examples is at every boundary."""
    values = [[array[:1] for array in network.bundle.examples]]
    for at in range(network.depth):
        values.append(network.run_segment(at, values[at]))
    return values


def time_heads(
    open_head: Callable[[int], Network], depth: int, inputs: list[Array], rounds: Rounds
) -> Times:
    """Time every head; only one is loaded at a time, as on a board that runs it."""
    times: Times = {}
    for cut in range(1, depth + 1):
        network = open_head(cut)
        times |= rounds.time({("head", cut): partial(network.run, 0, cut, inputs)})
    return times


def time_tails(network: Network, values: Values, rounds: Rounds) -> Times:
    """Time every tail, segment by segment, and every exit: its head and the exit policy."""
    depth = network.depth
    calls: dict[Key, Callable[[], object]] = {
        ("tail", cut): partial(network.run, cut, depth, values[cut]) for cut in range(depth)
    }
    return rounds.time(calls | dict(_exit_calls(network, values)))


def _exit_calls(network: Network, values: Values) -> Iterator[tuple[Key, Callable[[], object]]]:
    """Yield what a device runs at each exit; what the input is summarised to, at the first."""
    specs, policy = network.bundle.manifest.exits, load_policy(network.bundle)
    codes: Codes = {}
    for at, spec in enumerate(specs):
        network.exit_logits(at, values[spec.boundary], codes)  # a later exit may go on from it
    evidence = replace(evidence_of(network, values), summary=summarise(values[0]))

    def run(at: int) -> None:
        logits = network.exit_logits(at, values[specs[at].boundary], codes)
        latest = as_logits(logits, specs[at].temperature)
        seen = replace(evidence.upto(at), logits=(*evidence.logits[:at], latest))
        if at == 0 and "summary" in policy.rule.reads:
            seen = replace(seen, summary=summarise(values[0]))
        policy.score(seen)

    for at in range(len(specs)):
        yield ("exit", at), partial(run, at)


def time_codecs(network: Network, values: Values, rounds: Rounds) -> Times:
    """Time encoding and decoding of every boundary at every level."""
    return rounds.time(dict(_codec_calls(network, values)))


def _codec_calls(network: Network, values: Values) -> Iterator[tuple[Key, Callable[[], object]]]:
    for cut, boundary in enumerate(network.bundle.manifest.boundaries):
        for level in boundary.levels:
            before = network.encode(cut, level, values[cut]).references
            encode = partial(network.encode, cut, level, values[cut], before)
            whole = not boundary.bottleneck or network.can_widen(cut)
            how = network.decode if whole else network.codecs.decode
            decode = partial(
                how, cut, encode().frames, limit_bytes=boundary.nbytes, references=before
            )
            yield ("encode", f"{cut}/{level}"), encode
            yield ("decode", f"{cut}/{level}"), decode


def time_call(call: Callable[[], object], threads: int = 1) -> float:
    """Return how many seconds a call takes when it has the processor to itself.

    A run during which other work had it is made again, twice at most; the least disturbed counts.
    A profile says what a part costs: what else a machine does is observed while samples stream.
    How much processor time a call needs on several ``threads`` is not known: such a run counts as
    disturbed only if all of them together had less than one core.
    """
    used_s = time.thread_time if threads == 1 else time.process_time
    runs = []
    for _ in range(_TRIES):
        started_s, before_s = time.perf_counter(), used_s()
        call()
        took_s = time.perf_counter() - started_s
        waited_s = took_s - (used_s() - before_s)
        if waited_s <= _WAITED * took_s:
            return took_s
        runs.append((waited_s, took_s))
    return min(runs)[1]
