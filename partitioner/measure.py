"""Measuring a profile on this machine."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from offramp import backends, codecs
from offramp.bundle import Bundle
from offramp.errors import PlanError
from offramp.network import Network
from partitioner.agreeing import agreeing
from partitioner.machine import this_machine
from partitioner.profile import Profile, Runner, Timing
from partitioner.rounds import (
    Rounds,
    Times,
    boundary_values,
    time_codecs,
    time_heads,
    time_tails,
)
from partitioner.trying import promising

__all__ = [
    "NOISY",
    "MeasuringStopped",
    "default_backend",
    "measure_profile",
    "noise",
    "runners_here",
]

NOISY = 1.5
"""Times are noisy if the 90th percentile of a typical one is this many times its 10th."""

_PASSES = 5  # each loads everything anew, so that no single placement in memory decides
_COUNTED = 3  # those in which a part was fastest: other work only ever adds to a time
_LEFT_BEHIND = 2.0  # a runner that is slower than this at every cut is measured in one pass
_LONG_S = 0.5e-3  # shorter times vary on any machine
_NOTHING = Timing(median_s=0, p10_s=0, p90_s=0, runs=0)

Report = Callable[[str], None]
_Runner = tuple[str, int]
_All = dict[_Runner, Times]


class MeasuringStopped(Exception):  # noqa: N818
    """Whoever wanted a profile wants it no longer."""


@dataclass(frozen=True)
class _Wish:
    """What is to be measured, how often, and who is told and asked meanwhile."""

    bundle: Bundle
    rounds: int
    report: Report
    stopped: Callable[[], bool]

    def go_on(self) -> None:
        if self.stopped():
            raise MeasuringStopped

    def each_pass(self, threads: int = 1) -> Rounds:
        return Rounds(-(-self.rounds // _PASSES), threads, self.go_on)


def default_backend(bundle: Bundle) -> str:
    """Return the first backend that runs a bundle here: what it runs on without a profile."""
    return bundle.manifest.head_backend or Network(bundle, segments=range(0)).backend


def runners_here(
    bundle: Bundle,
    names: Sequence[str] = (),
    threads: Sequence[int] = (),
    report: Report = lambda line: None,
) -> list[_Runner]:
    """Return what to measure here: every backend named, on every thread count.

    By default those that are ready at once or `promising`, on one thread and on all cores.
    """
    chosen = [backends.get(name).name for name in names]
    if not names:
        chosen = [backend.name for backend in bundle.backends if backend.ready_at_once]
        chosen += promising(bundle, report)
    counts = threads or sorted({1, this_machine().cores})
    return [(name, count) for name in chosen for count in counts]


def measure_profile(
    bundle: Bundle,
    runners: Sequence[_Runner] = (),
    *,
    rounds: int = 15,
    report: Report = lambda line: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Profile:
    """Time every head, tail, exit and codec level on one of the bundle's examples, batch 1.

    ``runners`` are backends with thread counts, by default the `default_backend` on one thread.
    One that cannot run the bundle, or that is meant to be exact and answers something else, is
    left out, and ``report`` says so. Noisy times are measured once more. Raises `PlanError` if no
    runner is left, and `MeasuringStopped` soon after ``stopped`` says so.
    """
    wish = _Wish(bundle, rounds, report, stopped)
    wanted = runners or [(default_backend(bundle), 1)]
    chosen = [runner for runner, _ in agreeing(bundle, wanted, report)]
    if not chosen:
        raise PlanError("no backend could be measured; install one that the bundle is made for")
    times = _measure(wish, chosen)
    if noise(times.values()) > NOISY:
        report("the machine is busy; measuring once more")
        again = _measure(wish, chosen)
        times = {
            runner: {key: min(parts[key], again[runner][key], key=_spread) for key in parts}
            for runner, parts in times.items()
        }
        if (left := noise(times.values())) > NOISY:
            report(
                f"times vary by a factor of {left:.1f}: end other work on this machine and "
                "measure again, or expect predictions to be off"
            )
    coding = _with_decoders(bundle, times[chosen[0]], Network(bundle, *chosen[0], range(0)))
    return Profile(
        digest=bundle.digest,
        machine=this_machine(),
        measured=datetime.datetime.now(datetime.UTC).date().isoformat(),
        runners=tuple(_runner(bundle, runner, times[runner]) for runner in chosen),
        encode={str(part): _timing(t) for (kind, part), t in coding.items() if kind == "encode"},
        decode={str(part): _timing(t) for (kind, part), t in coding.items() if kind == "decode"},
    )


def _with_decoders(bundle: Bundle, times: Times, network: Network) -> Times:
    """Add to decode times what bottlenecks' decoders take that are not here, as on a device.

    They are reckoned by their multiply-adds from the tail, which is measured.
    """
    manifest, found = bundle.manifest, dict(times)
    for cut, pair in manifest.bottlenecks.items():
        if network.can_widen(cut):
            continue
        behind = sum(segment.macs for segment in manifest.segments[cut:])
        decoder_s = float(np.median(times["tail", cut])) * pair.decoder.macs / max(behind, 1)
        for level in manifest.boundaries[cut].levels:
            if codecs.get(level).of_latents:
                key = "decode", f"{cut}/{level}"
                found[key] = [time_s + decoder_s for time_s in times[key]]
    return found


def noise(measured: Iterable[Times]) -> float:
    """Return the 90th over the 10th percentile of a typical time, leaving out the shortest."""
    spreads = [
        _spread(values)
        for times in measured
        for values in times.values()
        if np.median(values) > _LONG_S
    ]
    return float(np.median(spreads)) if spreads else 1.0


def _measure(wish: _Wish, runners: Sequence[_Runner]) -> _All:
    """Time every runner in turn, pass by pass, and the codecs beside the first one."""
    passes: dict[_Runner, list[Times]] = {runner: [] for runner in runners}
    bundle, first = wish.bundle, runners[0]
    for at in range(_PASSES):
        for runner in runners:
            if at == 0:
                wish.report(f"measuring {runner[0]} on {runner[1]} thread(s)")
            wish.go_on()
            network, rounds = Network(bundle, *runner), wish.each_pass(runner[1])
            values = boundary_values(network)
            parts = time_tails(network, values, rounds)
            if runner == first:
                parts |= time_codecs(network, values, wish.each_pass())
            depth = network.depth
            del network
            parts |= time_heads(partial(_open_head, bundle, runner), depth, values[0], rounds)
            passes[runner].append(parts)
        times = {runner: _fastest(done) for runner, done in passes.items()}
        runners = [runner for runner in runners if _in_the_race(times, runner)]
    return times


def _fastest(passes: Sequence[Times]) -> Times:
    """Return what each part took in those of its passes that count."""
    counted = {key: sorted((p[key] for p in passes), key=np.median)[:_COUNTED] for key in passes[0]}
    return {key: [time_s for values in kept for time_s in values] for key, kept in counted.items()}


def _in_the_race(all_times: _All, runner: _Runner) -> bool:
    """Tell whether some head is less than `_LEFT_BEHIND` times slower than the fastest.

    Those that are not exact race apart: the exact ones are there for the tails then.
    """
    exact = backends.get(runner[0]).exact
    heads = {
        other: [np.median(values) for (kind, _), values in times.items() if kind == "head"]
        for other, times in all_times.items()
        if backends.get(other[0]).exact == exact
    }
    fastest = np.min(list(heads.values()), axis=0)
    return bool((np.array(heads[runner]) < _LEFT_BEHIND * fastest).any())


def _open_head(bundle: Bundle, runner: _Runner, cut: int) -> Network:
    """Load a head as a device runs it that has had the same plan for long."""
    network = Network(bundle, *runner, segments=range(0))
    network.fuse(bundle.manifest.stops(cut))
    return network


def _runner(bundle: Bundle, runner: _Runner, times: Times) -> Runner:
    depth, exits = len(bundle.manifest.segments), len(bundle.manifest.exits)
    backend = backends.get(runner[0])
    return Runner(
        backend=backend.name,
        threads=runner[1],
        version=backend.version(),
        exact=backend.exact,
        head=(_NOTHING, *(_timing(times["head", cut]) for cut in range(1, depth + 1))),
        tail=(*(_timing(times["tail", cut]) for cut in range(depth)), _NOTHING),
        exits=tuple(_timing(times["exit", at]) for at in range(exits)),
    )


def _spread(values: Sequence[float]) -> float:
    low, high = np.percentile(values, (10, 90))
    return float(high / low)


def _timing(values: Sequence[float]) -> Timing:
    p10, median, p90 = np.percentile(values, (10, 50, 90))
    return Timing(median_s=median, p10_s=p10, p90_s=p90, runs=len(values))
