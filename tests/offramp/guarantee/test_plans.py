"""Plans within limits: against all thresholds tried one by one, and against sums made by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.bundle import Boundary, Ensemble, ExitSpec, FileEntry, Manifest, SegmentSpec
from offramp.bundle.allowed import Limits
from offramp.bundle.quantised import Quantised
from offramp.calibration import Calibration
from offramp.errors import ConfigError, PlanError
from offramp.exits.policy import WATCHED
from offramp.guarantee import CLOSED, Promise, part_samples
from offramp.guarantee.device_costs import DeviceCosts, count_macs, held_bytes
from offramp.guarantee.plans import choose_plans, find_places
from offramp.guarantee.wish import Wish, find_room
from offramp.tensors import TensorSpec

LEVELS: Any = {"affine4": ({},), "raw": ({},)}
WEIGHTS = {"s0": 1000, "s1": 2000, "s2": 4000, "s3": 8000, "e0": 10, "e1": 20}
DEVICE = DeviceCosts(
    "s",
    head=np.array([0.0, 1.0, 2.0, 4.0, 8.0]),
    exits=np.array([0.25, 0.5]),
    encode={(cut, level): 0.125 for cut in range(4) for level in LEVELS},
    machine="a board",
)


def made_manifest(ensemble: Ensemble | None = None) -> Manifest:
    """Four segments, exits at the boundaries 1 and 3; 40 bytes cross every cut."""
    crossing = (TensorSpec("x", "float32", (10,)),)
    return Manifest(
        name="made",
        boundaries=(*(Boundary(tensors=crossing, levels=LEVELS),) * 4, Boundary(tensors=crossing)),
        segments=tuple(
            SegmentSpec(folder=f"s{at}", macs=10**at, reads=("x",), makes=("x",)) for at in range(4)
        ),
        exits=tuple(
            ExitSpec(
                name=f"e{at}",
                boundary=place,
                tensor="x",
                folder=f"e{at}",
                macs=5,
                ensemble=ensemble,
            )
            for at, place in enumerate((1, 3))
        ),
        policy="margin",
        files={
            f"{folder}/weights.safetensors": FileEntry(bytes=size, sha256="0" * 64)
            for folder, size in WEIGHTS.items()
        },
    )


def made_calibration(seed: int, samples: int = 20) -> tuple[Calibration, np.ndarray]:
    """Exits that know roughly how hard a sample is; a level that spoils some answers."""
    dice = np.random.default_rng(seed)
    labels, hard = dice.integers(0, 2, samples), dice.random(samples)

    def logits(power: float) -> np.ndarray:
        right = dice.random(samples) > hard**power
        answers = np.where(right, labels, 1 - labels)
        return np.eye(2, dtype=np.float32)[answers]

    final = logits(4)
    whole = final.argmax(axis=1)
    answers, sizes, together = {}, {}, {}
    for cut, level in itertools.product(range(4), LEVELS):
        spoilt = (dice.random(samples) < 0.2) & (level == "affine4")
        answers[cut, level] = np.where(spoilt, 1 - whole, whole).astype(np.int32)
        sizes[cut, level] = np.full(samples, 10 if level == "affine4" else 40, np.int32)
        mended = dice.random(samples) < 0.5
        together[cut, level] = np.where(mended, labels, answers[cut, level]).astype(np.int32)
    exits = np.stack([logits(1), logits(2)])
    scores = np.clip(1 - hard + dice.normal(0, 0.2, (2, samples)), 0, 1).round(2)
    return Calibration(labels, exits, final, answers, sizes, together=together), scores


MANIFEST = made_manifest()
ENSEMBLE = made_manifest(Ensemble(exit=2.0, end=1.0))
"""The end answers as the last exit does, if that has run: its logits weigh more."""


def follow(
    manifest: Manifest,
    calibration: Calibration,
    scores: np.ndarray,
    rows: np.ndarray,
    plan: tuple[Any, ...],
) -> tuple[float, float, float]:
    """Return accuracy, mean device time and share sent of a plan, sample by sample."""
    cut, level, thresholds = plan
    right, spent, sent = 0, 0.0, 0
    for row in rows:
        time_s, answer = 0.0, None
        for at, threshold in enumerate(thresholds):
            if threshold == CLOSED:
                continue
            time_s += DEVICE.exits[at]
            if scores[at, row] >= threshold:
                answer = calibration.exit_logits[at, row].argmax()
                time_s += DEVICE.head[manifest.exits[at].boundary]
                break
        if answer is None:
            time_s += DEVICE.head[cut] + DEVICE.encode.get((cut, level), 0.0)
            both = manifest is ENSEMBLE and len(thresholds) > 0 and thresholds[-1] < CLOSED
            whole = (calibration.exit_logits[1] if both else calibration.final_logits)[row].argmax()
            ends = calibration.together if both else calibration.answers
            answer = whole if level is None else ends[cut, level][row]
            sent += level is not None
        right += answer == calibration.labels[row]
        spent += time_s
    return right / len(rows), spent / len(rows), sent / len(rows)


def every_vector(scores: np.ndarray, rows: np.ndarray, active: int) -> Any:
    levels = [[0.0, *np.unique(row[rows]), WATCHED, CLOSED] for row in scores[:active]]
    return itertools.product(*levels)


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 1000),
    mean_s=st.sampled_from([1.3, 2.5, 4.0, None]),
    sent_share=st.sampled_from([0.0, 0.3, 1.0, None]),
    manifest=st.sampled_from([MANIFEST, ENSEMBLE]),
)
def test_no_thresholds_within_the_limits_are_more_accurate(
    seed: int, mean_s: float | None, sent_share: float | None, manifest: Manifest
) -> None:
    calibration, scores = made_calibration(seed)
    limits = Limits(mean_s=mean_s, sent_share=sent_share, machine="a board")
    allowed = choose_plans(
        manifest, calibration, scores, Wish(None, "margin", seed, limits, DEVICE)
    )
    fewer, rows = part_samples(20, np.random.default_rng(seed))
    for plan in allowed.plans:
        best = 0.0
        for vector in every_vector(scores, rows, len(plan.thresholds)):
            tried = follow(manifest, calibration, scores, rows, (plan.cut, plan.level, vector))
            within = tried[1] <= (mean_s or math.inf) and tried[2] <= (sent_share or 1.0 * (
                sent_share is None))  # fmt: skip
            best = max(best, tried[0] * within)
        made = (plan.cut, plan.level, plan.thresholds)
        accuracy, spent, sent = follow(manifest, calibration, scores, rows, made)
        assert accuracy == pytest.approx(best)
        assert spent <= (mean_s or math.inf) + 1e-9
        assert sent <= (1.0 if sent_share is None else sent_share) + 1e-9
        # What is told of it is of the others.
        accuracy, spent, sent = follow(manifest, calibration, scores, fewer, made)
        whole = (calibration.final_logits.argmax(1) == calibration.labels)[fewer].mean()
        assert plan.accuracy_drop == pytest.approx(whole - accuracy)
        assert plan.mean_s == pytest.approx(spent)
        if plan.level is not None:
            assert 1 - plan.left_share == pytest.approx(sent)
        assert plan.drop_interval is not None
        assert plan.drop_interval[0] <= plan.accuracy_drop <= plan.drop_interval[1]
    assert any(plan.level is None for plan in allowed.plans)
    assert allowed.samples == 6


@pytest.mark.parametrize(
    ("peak_s", "alone", "deepest_sent"),
    [(10.0, 4, 3), (8.75, 4, 3), (8.7, 3, 3), (4.8, 3, 2), (2.375, 1, 2), (1.25, 1, 0)],
)
def test_no_sample_goes_deeper_than_the_peak_allows(
    peak_s: float, alone: int, deepest_sent: int
) -> None:
    """To the end it takes 8.75 s, to the exits 1.25 and 4.75, to encode at cuts 0 to 3
    0.125, 1.375, 2.375 and 4.875."""
    room = find_room(MANIFEST, Wish(None, "margin", 0, Limits(peak_s=peak_s), DEVICE))
    assert (room.alone, room.reach) == ((alone, None), None)
    assert max(cut for cut, _ in room.places) == deepest_sent
    calibration, scores = made_calibration(1)
    limits = Limits(peak_s=peak_s)
    allowed = choose_plans(MANIFEST, calibration, scores, Wish(None, "margin", 0, limits, DEVICE))
    local = [plan for plan in allowed.plans if plan.level is None]
    assert [plan.cut for plan in local] == [alone]
    if alone < 4:
        assert local[0].thresholds[-1] == 0.0
        assert local[0].left_share == 1.0


def test_memory_holds_weights_and_tensors_and_ends_at_an_exit() -> None:
    first = 1000 + 10 + 80  # a segment, its exit, a tensor at either end
    second = 7000 + 6000 + 30 + 80  # segments 1 and 2 are loaded as one besides
    assert [held_bytes(MANIFEST, cut) for cut in (0, 1, 3)] == [40, first, second]
    for limit, alone in ((first, 1), (second - 1, 1), (second, 3), (10**6, 4)):
        room = find_room(MANIFEST, Wish(None, "margin", 0, Limits(memory_bytes=limit)))
        assert (room.alone, room.reach) == ((alone, None), alone)
        assert {cut for cut, _ in room.places} == set(range(min(alone, 3) + 1))
    with pytest.raises(PlanError, match=r"takes 0\.00109 MB, above the limit of 0\.001 MB"):
        find_room(MANIFEST, Wish(None, "margin", 0, Limits(memory_bytes=1000)))


def test_work_is_counted_as_time_is() -> None:
    macs = count_macs(MANIFEST)
    np.testing.assert_array_equal(macs.at(MANIFEST, (3, "raw")), [1 + 5, 111 + 10, 111 + 10])
    np.testing.assert_array_equal(macs.at(MANIFEST, (4, None)), [6, 121, 1111 + 10])
    np.testing.assert_array_equal(DEVICE.at(MANIFEST, (2, "raw")), [1.25, 2.375])
    np.testing.assert_array_equal(DEVICE.at(MANIFEST, (0, "raw")), [0.125])


def test_where_heads_are_quantised_no_place_stands_for_another(quantised: Quantised) -> None:
    """Which places answer alike is seen on all samples, and some of them are to test."""
    calibration, scores = made_calibration(1, 400)
    wish = Wish(Promise(0.1), "margin")
    for manifest, same in (
        (MANIFEST, [[(0, "raw")], [(1, "raw"), (2, "raw")], [(3, "raw"), (4, None)]]),
        (
            MANIFEST.model_copy(update={"quantised": quantised}),
            [[(cut, "raw")] for cut in range(4)],
        ),
    ):
        places = find_places(manifest, calibration, scores, np.arange(400), wish)
        assert [group for group in places.same.values() if group[0][1] == "raw"] == same


def test_a_limit_that_no_plan_keeps_names_the_least() -> None:
    calibration, scores = made_calibration(1)
    wish = Wish(None, "margin", 0, Limits(mean_s=1.2), DEVICE)
    with pytest.raises(PlanError, match=r"1200 ms .* the first exit alone takes 1250 ms"):
        choose_plans(MANIFEST, calibration, scores, wish)
    wish = Wish(None, "margin", 0, Limits(peak_s=1.2), DEVICE)
    with pytest.raises(PlanError, match="takes 1250 ms, above the limit of 1200 ms"):
        choose_plans(MANIFEST, calibration, scores, wish)


def test_a_promise_within_a_limit_holds_or_the_nearest_is_named() -> None:
    calibration, scores = made_calibration(3, 4000)
    tight = Limits(mean_s=1.5)
    with pytest.raises(PlanError, match=r"at most 2% can be .* is about (\d+\.\d)%") as caught:
        choose_plans(MANIFEST, calibration, scores, Wish(Promise(0.02), "margin", 0, tight, DEVICE))
    offered = float(str(caught.value).split("about ")[1].split("%")[0]) / 100
    wish = Wish(Promise(offered + 0.02), "margin", 0, tight, DEVICE)
    allowed = choose_plans(MANIFEST, calibration, scores, wish)
    assert allowed.promised is not None
    assert allowed.limits == tight
    rows = part_samples(4000, np.random.default_rng(0))[0]
    for plan in allowed.plans:
        made = (plan.cut, plan.level, plan.thresholds)
        assert plan.accuracy_drop <= offered + 0.02
        assert follow(MANIFEST, calibration, scores, rows, made)[1] <= 1.5 + 1e-9
    less = Wish(Promise(offered - 0.02), "margin", 0, tight, DEVICE)
    with pytest.raises(PlanError, match="can be promised"):
        choose_plans(MANIFEST, calibration, scores, less)


def test_plans_that_answer_as_the_whole_model_does_close_every_exit() -> None:
    """What answers together with an exit is tested like all that changes an answer."""
    calibration, scores = made_calibration(3, 4000)
    wish = Wish(Promise(0.2), "margin", 0, None, DEVICE)
    allowed = choose_plans(ENSEMBLE, calibration, scores, wish)
    whole = [plan for plan in allowed.plans if plan.drop_interval is None]
    tested = [plan for plan in allowed.plans if plan.drop_interval is not None]
    assert {(plan.cut, plan.level) for plan in whole} == {(c, "raw") for c in range(4)} | {
        (4, None)
    }
    assert all(set(plan.thresholds) <= {CLOSED} for plan in whole)
    assert any(plan.cut and plan.thresholds[-1] < CLOSED for plan in tested)
    rows = part_samples(4000, np.random.default_rng(0))[1]
    for plan in allowed.plans:
        made = (plan.cut, plan.level, plan.thresholds)
        accuracy = follow(ENSEMBLE, calibration, scores, rows, made)[0]
        right = calibration.final_logits.argmax(1) == calibration.labels
        assert plan.accuracy_drop == pytest.approx(right[rows].mean() - accuracy)


def test_what_is_wished_must_make_sense() -> None:
    with pytest.raises(ConfigError, match="nothing is asked for"):
        Wish(None, "margin")
    with pytest.raises(ConfigError, match="give one with --profile"):
        Wish(None, "margin", 0, Limits(mean_s=1.0))
    with pytest.raises(ConfigError, match="give one with --profile"):
        Wish(None, "margin", 0, Limits(peak_s=1.0), count_macs(MANIFEST))
