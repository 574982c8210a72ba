"""The headline: the result of a comparison in one sentence, computed from the data."""

from __future__ import annotations

from collections.abc import Sequence

from offramp.report.metrics import show_bytes, show_seconds, show_share
from offramp.report.summary import RunSummary

__all__ = ["choose_subject", "write_headline"]

_OWN = "adaptive"
_REFERENCES = {"device_only": "all on the device", "server_only": "all on the server"}


def choose_subject(summaries: Sequence[RunSummary]) -> int:
    """Return the place of the run that a report is about: ``adaptive``'s, or the first."""
    return next((at for at, each in enumerate(summaries) if each.strategy == _OWN), 0)


def write_headline(summaries: Sequence[RunSummary]) -> str:
    """Say what the subject achieved, and beside it the plain alternatives or the best other."""
    subject = summaries[choose_subject(summaries)]
    others = [each for each in summaries if each is not subject]
    plain = [each for each in others if each.strategy in _REFERENCES and each.label in _REFERENCES]
    beside = plain or sorted(others, key=_merit, reverse=True)[:1]
    sentence = (
        f"{subject.label} answered {show_share(_merit(subject))} of {subject.samples} samples "
        f"{_quality(subject)}{_median(subject)}, "
        f"and sent {show_bytes(subject.bytes_per_sample)} a sample"
    )
    compared = [
        f"{_REFERENCES.get(each.label, each.label)}: {show_share(_merit(each))}{_median(each)}, "
        f"{show_bytes(each.bytes_per_sample)}"
        for each in beside
    ]
    ending = f" ({'; '.join(compared)})." if compared else "."
    return sentence[0].upper() + sentence[1:] + ending


def _merit(summary: RunSummary) -> float:
    if summary.right_in_time_share is None:
        return summary.in_time_share
    return summary.right_in_time_share


def _quality(summary: RunSummary) -> str:
    return "in time" if summary.right_in_time_share is None else "correctly and in time"


def _median(summary: RunSummary) -> str:
    return f", half of them within {show_seconds(summary.latency.p50_s)}" if summary.latency else ""
