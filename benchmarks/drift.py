"""How soon drift is seen, how often an alarm is false, and what thresholds that adapt are worth.

Streams are drawn from test images as they are, blurred, noisy, darkened or shifted, whose scores
are computed once. "Model" is the whole model's accuracy on them. False alarms are counted on
streams drawn from the calibration samples, with bounds from other draws. Thresholds adapt from
those of a plan that lets more leave; what comes of it is counted after `LEARNING` samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import BUNDLE, finish, parse, spread, tabulate
from offramp.bundle import open_bundle
from offramp.calibration import Calibration, load_calibration, score_exits
from offramp.embedded.cluttered_digits import load
from offramp.exits import first_exit
from offramp.exits.fitted import load_policy
from offramp.exits.recording import record
from offramp.guarantee import (
    AdaptiveThresholds,
    DriftWatch,
    Expected,
    Outcomes,
    expect,
    recorded_outcomes,
)
from offramp.network import Network
from offramp.samples import LabelledSamples

THRESHOLDS = np.array([0.95, 0.95, 0.9])
ALPHA = 0.01
LONGEST = 3_000
BOLD = np.array([0.8, 0.8, 0.7])
SENTINELS = 0.02
LEARNING = 3_000

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """Scores (E, N) and answers (E, N) of the exits, those of the whole model and labels, (N,)."""

    scores: Floats
    exit_answers: Integers
    answers: Integers
    labels: Integers


def blurred(images: Images) -> Images:
    smooth = images.astype(np.float64)
    for axis in (1, 2) * 6:
        smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
    return smooth.astype(np.uint8)


def noisy(images: Images) -> Images:
    noise = np.random.default_rng(0).normal(0, 40, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


SEEN: dict[str, Callable[[Images], Images]] = {
    "as they are": lambda images: images,
    "blurred": blurred,
    "noisy": noisy,
    "darkened to a third": lambda images: images // 3,
    "shifted by 20 pixels": lambda images: np.roll(images, (20, 20), (1, 2)),
}


def main() -> None:
    options = parse("drift", __doc__)
    streams = 5 if options.quick else 50
    bundle = open_bundle(BUNDLE)
    network = Network(bundle)
    calibration, policy = load_calibration(bundle), load_policy(bundle)
    scores = score_exits(bundle.manifest, calibration, policy)
    outcomes = recorded_outcomes(bundle.manifest, calibration, scores)
    expected = expect(outcomes, THRESHOLDS, ALPHA)
    images, labels = load("test", 60 if options.quick else 400)
    figures: dict[str, dict[str, Any]] = {}
    for name, change in SEEN.items():
        seen = _see(network, change(images), labels)
        alarms = [_first_alarm(expected, seen.scores, seed) for seed in range(streams)]
        rules = [_adaptive(calibration, scores, seed) for seed in range(streams // 5)]
        figures[name] = {
            "accuracy": float((seen.answers == labels).mean()),
            "sent": float((first_exit(list(seen.scores), THRESHOLDS.tolist()) == 3).mean()),
            "noticed": float(np.mean([at <= LONGEST for at in alarms])),
            "samples": alarms,
            "fixed": np.mean([_run(None, seen, at) for at in range(len(rules))], axis=0).tolist(),
            "adaptive": np.mean([_run(r, seen, at) for at, r in enumerate(rules)], axis=0).tolist(),
        }
    tabulate(
        f"{streams} streams of {LONGEST} samples, alpha {ALPHA}",
        ["images", "model", "sent", "noticed", "samples until then"],
        [_row(name, figure) for name, figure in figures.items()],
    )
    tabulate(
        f"{streams // 5} streams, thresholds fixed -> adaptive, after {LEARNING} of {2 * LEARNING}",
        ["images", "model", "right", "agrees with the model", "sent"],
        [_row_of_both(name, figure) for name, figure in figures.items()],
    )
    false_alarms = np.mean([_alarms_falsely(outcomes, seed) for seed in range(4 * streams)])
    micro_s = _time_of_a_sample(expected) * 1e6
    finish(
        "drift",
        f"{false_alarms:.1%} of {4 * streams} streams alarm falsely; {micro_s:.0f} us a sample",
        {"streams": figures, "false_alarms": float(false_alarms), "sample_us": micro_s},
        options,
    )


def _first_alarm(expected: Expected, scores: Floats, seed: int) -> int:
    """Return after how many samples drawn from these the watch alarms, or one more than it saw."""
    rows = np.random.default_rng(seed).integers(0, scores.shape[1], LONGEST)
    places = first_exit(list(scores[:, rows]), THRESHOLDS.tolist()).tolist()
    watch = DriftWatch(expected)
    for place, row in zip(places, scores[:, rows].T.tolist(), strict=True):
        if moved := watch.observe(place, row):
            return moved.samples
    return LONGEST + 1


def _alarms_falsely(population: Outcomes, seed: int) -> bool:
    """Tell if a watch alarms on the law that drew its own 500 calibration samples."""
    rows = np.random.default_rng(10_000 + seed).integers(0, population.samples, 500)
    expected = expect(population.select(rows), THRESHOLDS, 0.1)
    return _first_alarm(expected, population.scores, seed) <= LONGEST


def _time_of_a_sample(expected: Expected) -> float:
    watch, began_s = DriftWatch(expected), time.perf_counter()
    for _ in range(2_000):
        watch.observe(1, [0.8, 0.97, 0.5])
    return (time.perf_counter() - began_s) / 2_000


def _see(network: Network, images: Images, labels: Integers) -> Seen:
    evidence = record(network, LabelledSamples((images,), labels))
    return Seen(
        load_policy(network.bundle).scores(evidence),
        np.stack(evidence.logits).argmax(axis=-1),
        evidence.recorded.final_logits.argmax(axis=-1),
        labels,
    )


def _adaptive(calibration: Calibration, scores: Floats, seed: int) -> AdaptiveThresholds:
    answers = calibration.final_logits.argmax(axis=-1)
    agrees = calibration.exit_logits.argmax(axis=-1) == answers
    return AdaptiveThresholds(scores, agrees, SENTINELS, np.random.default_rng(seed))


def _run(rule: AdaptiveThresholds | None, seen: Seen, seed: int) -> list[float]:
    """Return the shares of a stream's second half that are right, agree and are sent on."""
    agrees = seen.exit_answers == seen.answers
    told = []
    for row in np.random.default_rng(1000 + seed).integers(0, len(seen.labels), 2 * LEARNING):
        scores = seen.scores[:, row]
        sure = scores >= (rule.thresholds(tuple(BOLD)) if rule else BOLD)
        sentinel = bool(sure.any() and rule and rule.is_sentinel())
        sent = sentinel or not sure.any()
        if rule and sent:
            rule.observe(scores.tolist(), agrees[:, row].tolist(), sentinel=sentinel)
        answer = seen.answers[row] if sent else seen.exit_answers[sure.argmax(), row]
        told.append((answer == seen.labels[row], answer == seen.answers[row], sent))
    return [float(share) for share in np.mean(told[LEARNING:], axis=0)]


def _row(name: str, figure: dict[str, Any]) -> list[str]:
    found = [at for at in figure["samples"] if at <= LONGEST]
    return [
        name,
        f"{figure['accuracy']:.3f}",
        f"{figure['sent']:.1%}",
        f"{figure['noticed']:.0%}",
        spread(found, scale=1) if len(found) > 1 else "",
    ]


def _row_of_both(name: str, figure: dict[str, Any]) -> list[str]:
    pairs = zip(figure["fixed"], figure["adaptive"], strict=True)
    return [name, f"{figure['accuracy']:.3f}", *(f"{a:.1%} -> {b:.1%}" for a, b in pairs)]


if __name__ == "__main__":
    main()
