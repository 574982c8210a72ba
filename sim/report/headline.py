"""The headline: who was quickest, by how much and with how many right answers, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.quantities import figure
from offramp.report.metrics import show_seconds
from sim.report.contenders import Contender, Figures, choose_subject
from sim.report.metrics import show_share

__all__ = ["ALIKE", "Headline", "is_alike", "write_headline"]

ALIKE = 0.005
"""A strategy is right as often as another if it loses no more than this share of requests to it."""

_ORACLE = "oracle"


@dataclass(frozen=True)
class Headline:
    """The result in one or two sentences, and what a reader must know besides."""

    result: str
    more: tuple[str, ...] = ()


def write_headline(contenders: Sequence[Contender]) -> Headline:
    """Say how the subject did, beside the quickest live strategy that is right as often."""
    subject = choose_subject(contenders)
    if subject.over_seeds(_mean_s) is None:
        return Headline(f"{_title(subject)} answered no request.")
    others = [
        one
        for one in contenders
        if one is not subject and not one.clairvoyant and one.over_seeds(_mean_s)
    ]
    rivals = [one for one in others if is_alike(one, subject)]
    rival = min(rivals or others, key=lambda one: _of(one, "mean_s"), default=None)
    result = f"{_achieved(subject)}{_beside(subject, rival, len(others))}"
    more = [
        _tails(subject, rivals),
        _cheap(subject, others),
        _foreseen(subject, contenders),
        _unanswered(subject),
        _seeds(subject, rival),
    ]
    return Headline(
        f"{result}{_to_oracle(subject, contenders)}", tuple(text for text in more if text)
    )


def is_alike(one: Contender, other: Contender) -> bool:
    """Tell whether a strategy is right as often as another, or more often."""
    return _of(one, "right_share") >= _of(other, "right_share") - ALIKE


def _mean_s(figures: Figures) -> float | None:
    mean_s: float | None = figures["mean_s"]
    return mean_s


def _of(one: Contender, key: str) -> float:
    found = one.over_seeds(lambda figures: figures[key])
    return 0.0 if found is None else found.mean


def _title(one: Contender) -> str:
    return one.name[:1].upper() + one.name[1:]


def _achieved(subject: Contender) -> str:
    return (
        f"{_title(subject)} answered in {show_seconds(_of(subject, 'mean_s'))} on average and "
        f"within {show_seconds(_of(subject, 'p99_s'))} in 99 of 100 cases, "
        f"{show_share(_of(subject, 'accuracy'))} of the answers right"
    )


def _beside(subject: Contender, rival: Contender | None, others: int) -> str:
    if rival is None:
        return "."
    mine_s, other_s = _of(subject, "mean_s"), _of(rival, "mean_s")
    how = ", the quickest of those that were right as often" if others > 1 else ""
    if not is_alike(rival, subject):
        how = ", the quickest of the others, all of which were less often right"
        how = how if others > 1 else ", which was less often right"
    figures = (
        f"{show_seconds(other_s)}, 99% within {show_seconds(_of(rival, 'p99_s'))}, "
        f"{show_share(_of(rival, 'accuracy'))} right"
    )
    named = f"{rival.name} ({figures}){how}"
    if mine_s <= other_s:
        return f": {other_s / mine_s:.2f} times as fast as {named}."
    return f". Quicker by a factor of {mine_s / other_s:.2f} was {named}."


def _to_oracle(subject: Contender, contenders: Sequence[Contender]) -> str:
    oracle = next((one for one in contenders if one.name == _ORACLE), None)
    if oracle is None or oracle is subject or oracle.over_seeds(_mean_s) is None:
        return ""
    ratio = _of(subject, "mean_s") / _of(oracle, "mean_s")
    return f" Its mean is {figure(ratio)} times that of the oracle, which knows the future."


def _tails(subject: Contender, rivals: Sequence[Contender]) -> str:
    if not rivals:
        return ""
    best = min(rivals, key=lambda one: _of(one, "p99_s"))
    mine_s, other_s = _of(subject, "p99_s"), _of(best, "p99_s")
    if mine_s <= other_s:
        return (
            f"Its 99th percentile is the least of those that were right as often: {best.name} is "
            f"next with {show_seconds(other_s)}."
        )
    return (
        f"The least 99th percentile of those that were right as often has {best.name}: "
        f"{show_seconds(other_s)} against {show_seconds(mine_s)}."
    )


def _cheap(subject: Contender, others: Sequence[Contender]) -> str:
    """Name those that were quicker at the cost of right answers."""
    mine_s, right = _of(subject, "mean_s"), _of(subject, "right_share")
    quicker = [
        f"{one.name} ({show_seconds(_of(one, 'mean_s'))}, "
        f"{(right - _of(one, 'right_share')) * 100:.2f} points)"
        for one in others
        if _of(one, "mean_s") < mine_s and not is_alike(one, subject)
    ]
    return f"Quicker, but less often right: {', '.join(quicker)}." if quicker else ""


def _foreseen(subject: Contender, contenders: Sequence[Contender]) -> str:
    known = [
        f"{one.name} {show_seconds(_of(one, 'mean_s'))}"
        for one in contenders
        if one.clairvoyant and one is not subject and one.over_seeds(_mean_s)
    ]
    return f"Measures that know the future, in the mean: {', '.join(known)}." if known else ""


def _unanswered(subject: Contender) -> str:
    figures = subject.figures()
    missing = sum(one["requests"] - one["answered"] for one in figures)
    requests = sum(one["requests"] for one in figures)
    return f"{missing} of its {requests} requests had no answer." if missing else ""


def _seeds(subject: Contender, rival: Contender | None) -> str:
    spread = subject.over_seeds(_mean_s)
    if spread is None or len(subject.runs) == 1:
        return "One seed alone: differences of some per cent may be chance."
    text = (
        f"Over {len(subject.runs)} seeds its mean went from {show_seconds(spread.least)} to "
        f"{show_seconds(spread.most)}"
    )
    if rival is None:
        return f"{text}."
    theirs = {run["seed"]: run["total"]["mean_s"] for run in rival.runs}
    pairs = [
        (run["total"]["mean_s"], theirs[run["seed"]])
        for run in subject.runs
        if None not in (run["total"]["mean_s"], theirs.get(run["seed"]))
    ]
    ahead = sum(mine_s < other_s for mine_s, other_s in pairs)
    return f"{text}; it was quicker than {rival.name} with {ahead} of {len(pairs)}."
