"""What every exit policy promises, whatever the exits say."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load

from offramp.errors import ConfigError, InputError
from offramp.exits import POLICIES, Evidence, FittedPolicy, Truth, first_exit, get, policies
from offramp.exits.fitted import encode_parameters

COUNT, CLASSES, WIDTHS, SUMMARY = 6, 4, (5, 5, 3), 6
THRESHOLD = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0, 2.0])
Fit = Callable[[str], FittedPolicy]


def numbers(limit: float, *shape: int) -> Any:
    return arrays(np.float32, shape, elements=st.floats(-limit, limit, width=32))


EVIDENCE = st.builds(
    lambda logits, states, summary, final, labels: Evidence(
        tuple(logits), states, summary, Truth(labels, final, np.array([1.0, 2.0, 3.0, 9.0]))
    ),
    numbers(50, len(WIDTHS), COUNT, CLASSES),
    st.tuples(*(numbers(20, COUNT, width) for width in WIDTHS)),
    numbers(20, COUNT, SUMMARY),
    numbers(50, COUNT, CLASSES),
    arrays(np.int64, COUNT, elements=st.integers(0, CLASSES - 1)),
)

every_policy = pytest.mark.parametrize("name", POLICIES)
drawn = settings(deadline=None, max_examples=12)


@every_policy
def test_a_policy_says_whether_it_learns(name: str, fit: Fit) -> None:
    assert POLICIES[name].learns == bool(fit(name).parameters)


@every_policy
@drawn
@given(seen=EVIDENCE, thresholds=st.tuples(*[THRESHOLD] * len(WIDTHS)))
def test_one_sample_at_a_time_decides_as_all_at_once(
    name: str, seen: Evidence, thresholds: tuple[float, ...], fit: Fit
) -> None:
    policy = fit(name)
    scores = policy.scores(seen)
    assert scores.shape == (len(WIDTHS), COUNT)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_array_equal(scores, policy.scores(seen))
    alone = np.concatenate([policy.scores(seen[at : at + 1]) for at in range(COUNT)], axis=1)
    np.testing.assert_allclose(alone, scores, atol=1e-9)
    clear = (np.abs(scores - np.array(thresholds)[:, None]) > 1e-9).all(axis=0)
    together, one_by_one = first_exit(scores, thresholds), first_exit(alone, thresholds)
    np.testing.assert_array_equal(together[clear], one_by_one[clear])


@every_policy
@drawn
@given(seen=EVIDENCE, levels=st.tuples(*[st.tuples(st.floats(0, 1), st.floats(0, 1))] * 3))
def test_a_higher_threshold_lets_no_more_samples_leave(
    name: str, seen: Evidence, levels: tuple[tuple[float, float], ...], fit: Fit
) -> None:
    scores = fit(name).scores(seen)
    lower, higher = zip(*map(sorted, levels), strict=True)
    assert (first_exit(scores, lower) <= first_exit(scores, higher)).all()
    assert (first_exit(scores, [0.0] * 3) == 0).all()
    assert (first_exit(scores, [1.0001] * 3) == 3).all()


@every_policy
@drawn
@given(seen=EVIDENCE, other=EVIDENCE)
def test_a_score_depends_on_what_the_policy_reads_and_on_no_later_exit(
    name: str, seen: Evidence, other: Evidence, fit: Fit
) -> None:
    policy, last = fit(name), len(WIDTHS) - 1
    rule = policy.rule
    blind = Evidence(
        seen.logits if "logits" in rule.reads else other.logits,
        seen.states if "states" in rule.reads else (),
        seen.summary if "summary" in rule.reads else np.zeros((0, 0)),
        seen.truth if "truth" in rule.reads else None,
    )
    if not rule.looks_back:
        nothing = np.zeros((COUNT, 0), np.float32)
        blind = replace(
            blind,
            logits=(nothing,) * last + blind.logits[last:],
            states=(nothing,) * last + blind.states[last:],
        )
    np.testing.assert_array_equal(policy.score(blind), policy.score(seen))
    later = replace(
        other, logits=seen.logits[:1] + other.logits[1:], states=seen.states[:1] + other.states[1:]
    )
    later = replace(later, summary=seen.summary, truth=seen.truth)
    np.testing.assert_array_equal(policy.scores(later)[0], policy.scores(seen)[0])


@every_policy
def test_a_policy_that_looks_back_says_so(name: str, fit: Fit, evidence: Evidence) -> None:
    policy = fit(name)
    shuffled = tuple(logits[::-1] for logits in evidence.logits[:-1])
    states = tuple(state[::-1] for state in evidence.states[:-1])
    before = replace(
        evidence,
        logits=(*shuffled, evidence.logits[-1]),
        states=(*states, evidence.states[-1]),
    )
    changed = (policy.score(before) != policy.score(evidence)).any()
    assert changed == policy.rule.looks_back


@every_policy
def test_fitting_again_and_storing_change_nothing(
    name: str, fit: Fit, evidence: Evidence, fresh: Evidence
) -> None:
    policy = fit(name)
    again = policy.rule.fit(evidence)
    stored = load(encode_parameters(policy.parameters))
    assert stored.keys() == policy.parameters.keys() == again.keys()
    for key, array in policy.parameters.items():
        np.testing.assert_array_equal(array, again[key])
        np.testing.assert_array_equal(array, stored[key])
        assert np.isfinite(array).all()
    unstored = FittedPolicy(policy.rule, stored).scores(fresh)
    np.testing.assert_array_equal(unstored, policy.scores(fresh))


@every_policy
def test_logits_that_are_no_numbers_never_leave(name: str, fit: Fit, evidence: Evidence) -> None:
    few = evidence[:3]
    broken = few.logits[-1].copy()
    broken[1] = np.nan
    scores = fit(name).score(replace(few, logits=(*few.logits[:-1], broken)))
    assert np.isnan(scores).tolist() == [False, True, False]
    assert first_exit([scores], [0.0]).tolist() == [0, 1, 0]


@every_policy
def test_what_cannot_be_fitted_to_is_refused(name: str, evidence: Evidence) -> None:
    fit, truth = POLICIES[name].fit, evidence.recorded
    nans = np.full_like(evidence.logits[1], np.nan)

    def with_labels(labels: Any) -> Evidence:
        return replace(evidence, truth=replace(truth, labels=np.asarray(labels)))

    wrong = {
        "no labels": replace(evidence, truth=None),
        "give at least": evidence[:0],
        "label 4 is out of range; there are 4 classes": with_labels(truth.labels + 1),
        "label -1 is out of range": with_labels(truth.labels - 1),
        "all 400 samples have label 2": with_labels(np.full(400, 2)),
        "logits of exit 1 are not finite": replace(
            evidence, logits=(evidence.logits[0], nans, evidence.logits[2])
        ),
        "final logits are not finite": replace(evidence, truth=replace(truth, final_logits=nans)),
        "state at exit 0 are not finite": replace(
            evidence, states=(evidence.states[0] * np.inf, *evidence.states[1:])
        ),
        "summary of the input": replace(evidence, summary=evidence.summary * np.nan),
    }
    for message, seen in wrong.items():
        with np.errstate(invalid="ignore"), pytest.raises(InputError, match=message):
            fit(seen)


def test_the_page_has_a_row_for_every_policy(repository: Path) -> None:
    page = (repository / "docs" / "exits.md").read_text()
    rows = dict(
        re.findall(r"^\| `(\w+)` \|.* \| ([^|]*) \|$", page.split("## The policies")[1], re.M)
    )
    assert list(rows) == list(POLICIES)
    for name, policy in POLICIES.items():
        parts = [*sorted(policy.reads), *["of earlier exits too"] * policy.looks_back]
        assert rows[name] == ", ".join(parts), name


def test_every_policy_is_registered_and_cites_its_rule() -> None:
    files = {module.name: module for module in pkgutil.iter_modules(policies.__path__)}
    assert set(files) == set(POLICIES)
    for name, policy in POLICIES.items():
        assert policy.name == name
        assert get(name) is policy
        module = __import__(f"offramp.exits.policies.{name}", fromlist=[name])
        assert f"`{name}`" in module.__doc__
        assert "    score = " in module.__doc__
        assert "arXiv" in module.__doc__ or "Ours" in module.__doc__
    with pytest.raises(ConfigError, match=r"unheard.*confidence"):
        get("unheard")
