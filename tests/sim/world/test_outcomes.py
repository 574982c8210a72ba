"""Outcomes by sample agree with what the planner counts on."""

from dataclasses import replace

import numpy as np
import pytest

from device.board import Board
from device.work import FallBack, RunHead, Work
from offramp.bundle import Bundle, LaterExits
from offramp.bundle.manifest import Ensemble
from offramp.calibration import load_calibration
from offramp.exits import FittedPolicy, get
from offramp.exits.fitted import load_policy
from partitioner.candidates import CLOSED, WATCHED, build_candidates
from partitioner.plan import Plan
from sim.world.outcomes import Outcomes
from sim.world.processor import Held, Processor

CONFIDENCE = FittedPolicy(get("confidence"))


def plans_of(candidates, bundle):
    for row in range(len(candidates)):
        cut = int(candidates.cut[row])
        active = bundle.manifest.exits_before(cut)
        thresholds = tuple(float(t) for t in candidates.thresholds[row, :active])
        yield row, Plan(cut, candidates.level[row], candidates.policy, thresholds)


def agree(bundle, candidates, outcomes):
    for row, plan in plans_of(candidates, bundle):
        under = outcomes.under(plan)
        leaves, right = np.frombuffer(under.leaves, "u1"), np.frombuffer(under.right, "u1")
        exits = range(len(plan.thresholds))
        stays = leaves == len(plan.thresholds)
        assert right.mean() == pytest.approx(candidates.accuracy[row], abs=1e-12)
        shares = [(leaves == at).mean() for at in exits]
        assert shares == pytest.approx(list(candidates.exit_shares[row, : len(exits)]), abs=1e-12)
        sent_bytes = np.array(under.size_bytes) * stays
        assert sent_bytes.mean() == pytest.approx(candidates.bytes_mean[row], abs=1e-9)
        assert sorted(sent_bytes) == list(candidates.sent_bytes[row])


def test_the_mean_over_all_samples_is_the_candidates_of_the_embedded_bundle(embedded):
    candidates = build_candidates(embedded, load_calibration(embedded), load_policy(embedded))
    agree(embedded, candidates, Outcomes.of(embedded))


def test_it_is_where_an_exit_and_the_end_answer_together(bundle, calibration):
    """Together they are wrong about every tenth sample, apart about none of those."""
    spec = bundle.manifest.exits[0].model_copy(update={"ensemble": Ensemble(exit=1, end=1)})
    joined = Bundle(bundle.manifest.model_copy(update={"exits": (spec,)}), "2" * 64, bundle.folder)
    wrong = np.where(np.arange(100) % 10 == 0, 1 - calibration.labels, calibration.labels)
    together = replace(calibration, together={(1, "raw"): wrong.astype(np.int16)})
    candidates = build_candidates(joined, together, CONFIDENCE)
    outcomes = Outcomes(joined, together, CONFIDENCE)
    agree(joined, candidates, outcomes)
    watched = Plan(1, "raw", "confidence", (WATCHED,))
    assert np.mean(list(outcomes.under(watched).right)) == 0.9


def test_samples_leave_the_server_where_calibration_recorded_it(bundle, calibration):
    """The exit is behind segment 0; what is sent as it came may leave there."""
    opened = LaterExits(thresholds=(0.5,), worse=0, better=0)
    first = bundle.manifest.boundaries[0].model_copy(update={"later": {"raw": opened}})
    boundaries = (first, *bundle.manifest.boundaries[1:])
    changed = bundle.manifest.model_copy(update={"boundaries": boundaries})
    leaves = {(0, "raw"): np.arange(100) % 2}
    outcomes = Outcomes(
        Bundle(changed, "3" * 64, bundle.folder), replace(calibration, leaves=leaves), CONFIDENCE
    )
    under = outcomes.under(Plan(0, "raw", "confidence", ()))
    assert (under.ends, under.asks) == ([1, 2] * 50, ((1, 0),))
    held = Held(3, under)
    assert held.end == 2
    under = outcomes.under(Plan(1, "raw", "confidence", (CLOSED,)))
    assert (under.ends, under.asks) == ((), ())
    assert Held(3, under).end is None


def test_a_fallback_answers_with_its_own_exit_or_the_whole_model(planner, outcomes):
    """The exit is wrong about sample 90, the whole model is right."""
    processor = Processor(planner, outcomes)
    plan = Plan(1, "raw", "confidence", (CLOSED,))
    for until_s, exit_, right in ((1.0, None, True), (0.012, 0, False)):
        held = Held(90)
        work = Work(0, 0.0, 1.0, plan)
        took_s, reached = processor.run_head(RunHead(work, 1.0, 1.0), held, 0.0, 1.0)
        assert (took_s, reached.at, reached.answered) == (0.010, 1, False)
        took_s = processor.fall_back(FallBack(work, until_s, 1.0), held, 0.010, 1.0)
        assert (took_s, held.exit, held.right) == (
            pytest.approx(0.010 if exit_ is None else 0.001),
            exit_,
            right,
        )


@pytest.mark.parametrize(
    ("until_s", "answer"),
    [(1.0, (0.020, None, False)), (0.019, (0.011, 0, True)), (0.001, (0.011, 0, True))],
)
def test_a_head_without_time_leaves_at_the_exit_in_reach(planner, outcomes, until_s, answer):
    processor, held = Processor(planner, outcomes), Held(60)
    work = Work(0, 0.0, 1.0, Plan(2, None, "confidence", (CLOSED,)))
    took_s, reached = processor.run_head(RunHead(work, until_s, 1.0), held, 0.0, 1.0)
    assert (pytest.approx(took_s), held.exit, reached.hurried) == answer
    assert reached.answered


def test_what_a_head_believes_of_its_pace_decides_and_its_true_pace_is_what_it_takes(
    planner, outcomes
):
    """It believes that 20 ms are left and are enough, and takes 40; at half way it hurries."""
    processor, held = Processor(planner, outcomes), Held(60)
    work = Work(0, 0.0, 1.0, Plan(2, None, "confidence", (CLOSED,)))
    took_s, reached = processor.run_head(RunHead(work, 0.021, 1.0), held, 0.0, 2.0)
    assert (pytest.approx(took_s), held.exit, reached.hurried) == (0.022, 0, True)


@pytest.mark.parametrize("until_s", [0.019, 0.001])
def test_a_hurried_head_on_its_profiles_pace_does_not_look_like_a_slower_device(
    planner, outcomes, until_s
):
    """The exit that it left at is told of, so that its time is expected."""
    processor, held = Processor(planner, outcomes), Held(60)
    work = Work(0, 0.0, 1.0, Plan(2, None, "confidence", (CLOSED,)))
    _, reached = processor.run_head(RunHead(work, until_s, 1.0), held, 0.0, 1.0)
    board = Board(planner.device, planner.bundle.manifest)
    assert reached.hurried
    assert reached.head_s == pytest.approx(board.reached_s(reached.at, reached.exits))
