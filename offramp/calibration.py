"""Calibration arrays: what every exit and every cut and codec level said about held-out samples.

From them a plan's accuracy, exit shares and bytes are evaluated exactly, conditional on the cut,
instead of from averages (`partitioner.candidates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Bundle, Manifest
from offramp.errors import BundleError
from offramp.exits import Evidence, FittedPolicy
from offramp.exits.ensemble import joint_classes
from offramp.exits.evidence import as_logits
from offramp.exits.fitted import rule_of
from offramp.tensors import Array

__all__ = [
    "FAITHFUL",
    "FILE",
    "Calibration",
    "joint_answers",
    "load_calibration",
    "score_exits",
]

FILE = "calibration.safetensors"
FAITHFUL = 0.05
"""The largest share by which an answer that is no class may differ from the whole model's."""


@dataclass(frozen=True)
class Calibration:
    """The recorded outcomes of N held-out samples of C classes with E exits.

    ``labels`` int64 (N,); ``exit_logits`` float32 (E, N, C); ``final_logits`` float32 (N, C), of
    the whole model on the device: of the quantised one, if its heads are quantised. ``answers`` and
    ``sizes``, integers (N,), are keyed by cut and codec level: the class that the tail answers from
    the decoded boundary, and the frames' bytes.

    ``together`` has the answers of tail and last exit where the manifest makes these an ensemble.
    Where the server answers some samples at exits behind the cut, all these answers are so, and
    ``leaves`` (N,) has the exit at which each sample leaves, E for the end.
    ``exit_scores`` float32 (E, N) are those of the bundle's exit policy where it reads more than
    the logits; else they follow from these.

    Where the model's answer is a tensor, there are two classes: 0, faithful, if it differs from the
    whole model's by at most `FAITHFUL` of that one's Euclidean norm, and 1. Every label is 0.
    """

    labels: Array
    exit_logits: Array
    final_logits: Array
    answers: Mapping[tuple[int, str], Array]
    sizes: Mapping[tuple[int, str], Array]
    exit_scores: Array | None = None
    together: Mapping[tuple[int, str], Array] = field(default_factory=dict)
    leaves: Mapping[tuple[int, str], Array] = field(default_factory=dict)

    def select(self, rows: NDArray[Any]) -> Calibration:
        """Return the outcomes of some samples."""
        scores = self.exit_scores
        return Calibration(
            self.labels[rows],
            self.exit_logits[:, rows],
            self.final_logits[rows],
            {place: array[rows] for place, array in self.answers.items()},
            {place: array[rows] for place, array in self.sizes.items()},
            None if scores is None else scores[:, rows],
            {place: array[rows] for place, array in self.together.items()},
            {place: array[rows] for place, array in self.leaves.items()},
        )

    @property
    def levels(self) -> list[tuple[int, str]]:
        """Every calibrated cut and codec level."""
        return list(self.answers)

    @property
    def accuracy(self) -> float:
        """The share of samples that the whole model on the device answers rightly."""
        return float(np.mean(self.final_logits.argmax(axis=-1) == self.labels))

    def to_arrays(self) -> dict[str, Array]:
        """Return the arrays by the names under which a bundle stores them."""
        arrays = {
            "labels": self.labels,
            "exit_logits": self.exit_logits,
            "final_logits": self.final_logits,
        }
        if self.exit_scores is not None:
            arrays["exit_scores"] = self.exit_scores
        for cut, level in self.levels:
            arrays[f"answers/{cut}/{level}"] = self.answers[cut, level]
            arrays[f"sizes/{cut}/{level}"] = self.sizes[cut, level]
        for (cut, level), answers in self.together.items():
            arrays[f"together/{cut}/{level}"] = answers
        for (cut, level), leaves in self.leaves.items():
            arrays[f"leaves/{cut}/{level}"] = leaves
        return arrays


def load_calibration(bundle: Bundle) -> Calibration:
    """Read a bundle's calibration arrays and check that they fit its manifest."""
    arrays = bundle.arrays(FILE)
    boundaries = bundle.manifest.boundaries
    levels = [(cut, level) for cut, boundary in enumerate(boundaries) for level in boundary.levels]
    joint = [(cut, level) for cut, level in levels if bundle.manifest.ensemble_at(cut) is not None]
    later = [place for place in levels if bundle.manifest.later_at(*place)]
    scored = rule_of(bundle).reads != {"logits"}
    try:
        calibration = Calibration(
            labels=arrays["labels"],
            exit_logits=arrays["exit_logits"],
            final_logits=arrays["final_logits"],
            answers={(cut, level): arrays[f"answers/{cut}/{level}"] for cut, level in levels},
            sizes={(cut, level): arrays[f"sizes/{cut}/{level}"] for cut, level in levels},
            exit_scores=arrays["exit_scores"] if scored else None,
            together={(cut, level): arrays[f"together/{cut}/{level}"] for cut, level in joint},
            leaves={(cut, level): arrays[f"leaves/{cut}/{level}"] for cut, level in later},
        )
    except KeyError as error:
        raise BundleError(f"bundle {bundle.digest[:12]} lacks the array {error}") from None
    if not _fits_together(calibration, bundle.manifest):
        raise BundleError(
            f"bundle {bundle.digest[:12]}: calibration arrays do not fit together; "
            "compile the model again"
        )
    return calibration


def joint_answers(
    manifest: Manifest, calibration: Calibration, cut: int, level: str | None
) -> Array | None:
    """Return what the end answers together with the last exit before a cut, if that has run: (N,).

    None where these are no ensemble, or where a plan ends at an exit.
    """
    found = manifest.ensemble_at(cut)
    if found is None or (level is None and cut < max(manifest.cuts)):
        return None
    if level is not None:
        return calibration.together[cut, level]
    at, ensemble = found
    return joint_classes(ensemble, calibration.exit_logits[at], calibration.final_logits)


def score_exits(manifest: Manifest, calibration: Calibration, policy: FittedPolicy) -> Array:
    """Return the scores of every exit on the calibration samples, (E, N).

    Raises `BundleError` if the policy scores one of them outside [0, 1].
    """
    if calibration.exit_scores is not None:
        return calibration.exit_scores.astype(np.float64)
    pairs = zip(calibration.exit_logits, manifest.exits, strict=True)
    scores = policy.scores(Evidence(tuple(as_logits(z, spec.temperature) for z, spec in pairs)))
    if not ((scores >= 0) & (scores <= 1)).all():
        raise BundleError(
            f"exit policy {manifest.policy!r} of bundle {manifest.name!r} gives scores outside "
            "[0, 1]; calibrate the bundle again"
        )
    return scores.reshape(len(manifest.exits), len(calibration.labels))


def _fits_together(calibration: Calibration, manifest: Manifest) -> bool:
    exit_count = len(manifest.exits)
    labels, final = calibration.labels, calibration.final_logits
    sizes = calibration.sizes.values()
    answers = (*calibration.answers.values(), *calibration.together.values())
    return (
        final.ndim == 2
        and all(final.shape)
        and calibration.exit_logits.shape == (exit_count, *final.shape)
        and all(_is_counts(array, len(final)) for array in (labels, *answers, *sizes))
        and all(int(array.max()) < final.shape[1] for array in (labels, *answers))
        and all(
            _is_counts(array, len(final))
            and manifest.exits_before(cut) <= int(array.min())
            and int(array.max()) <= exit_count
            for (cut, _), array in calibration.leaves.items()
        )
        and bool(np.isfinite(final).all() and np.isfinite(calibration.exit_logits).all())
        and _are_scores(calibration.exit_scores, (exit_count, len(final)))
    )


def _are_scores(scores: Array | None, shape: tuple[int, int]) -> bool:
    return scores is None or (
        scores.shape == shape
        and scores.dtype == np.float32
        and bool(((scores >= 0) & (scores <= 1)).all())
    )


def _is_counts(array: Array, length: int) -> bool:
    return array.shape == (length,) and array.dtype.kind == "i" and int(array.min()) >= 0
