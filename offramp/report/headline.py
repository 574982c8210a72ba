"""The headline: the result of a comparison in words, computed from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.report.colours import OWN
from offramp.report.hedging import Hedging
from offramp.report.metrics import show_bytes, show_joules, show_seconds, show_share
from offramp.report.summary import RunSummary

__all__ = ["Headline", "choose_subject", "write_headline"]

_MEANINGS = {
    "device_only": "everything on the device",
    "device_exits": "early exits, all on the device",
    "server_only": "everything on the server",
    "fixed_split": "a fixed split",
}


@dataclass(frozen=True)
class Headline:
    """What the subject achieved, in one sentence, and what each other run did, for comparison.

    ``hedging`` says for each run in which the device computed on what came of it.
    """

    result: str
    others: tuple[str, ...] = ()
    hedging: tuple[str, ...] = ()


def choose_subject(summaries: Sequence[RunSummary]) -> int:
    """Return the place of the run that a report is about: ``offramp``'s, or the first."""
    return next((at for at, each in enumerate(summaries) if each.strategy == OWN), 0)


def write_headline(summaries: Sequence[RunSummary]) -> Headline:
    """Say what became of the samples under the subject's strategy, and under the others."""
    subject = summaries[choose_subject(summaries)]
    others = [each for each in summaries if each is not subject]
    name = subject.label[:1].upper() + subject.label[1:]
    result = f"{name} {_achieved(subject)}, {_sent(subject)}."
    hedged = tuple(_say_hedging(each, each.hedging) for each in summaries if each.hedging)
    return Headline(result, tuple(_describe(other) for other in others), hedged)


def _say_hedging(summary: RunSummary, hedging: Hedging) -> str:
    energy = "" if hedging.energy_j is None else f" and {show_joules(hedging.energy_j)}"
    return (
        f"{summary.label}: the device computed on while answers were under way, and was first with "
        f"{hedging.first} of {summary.samples} samples; that took "
        f"{show_seconds(hedging.computed_s)}{energy}, {show_share(hedging.time_share)} of the "
        f"run's time and {show_share(hedging.work_share)} of what the device computed"
    )


def _describe(summary: RunSummary) -> str:
    meaning = _MEANINGS.get(summary.label)
    name = f"{summary.label} ({meaning})" if meaning else summary.label
    return f"{name}: {show_share(_merit(summary))}{_median(summary, '')}, {_sent(summary)}"


def _achieved(summary: RunSummary) -> str:
    how = "in time" if summary.right_in_time_share is None else "correctly and in time"
    return (
        f"answered {show_share(_merit(summary))} of {summary.samples} samples {how}"
        f"{_median(summary, ' of its answers')}"
    )


def _merit(summary: RunSummary) -> float:
    if summary.right_in_time_share is None:
        return summary.in_time_share
    return summary.right_in_time_share


def _median(summary: RunSummary, whose: str) -> str:
    if summary.latency is None:
        return ""
    return f", half{whose} within {show_seconds(summary.latency.p50_s)}"


def _sent(summary: RunSummary) -> str:
    size = summary.bytes_per_sample
    return "sending nothing" if size == 0 else f"sending {show_bytes(size)} a sample"
