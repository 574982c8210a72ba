"""Calibration arrays: what every exit and every cut and codec level said about held-out samples.

From them a plan's accuracy, exit shares and bytes are evaluated exactly, conditional on the cut,
instead of from averages (`partitioner.candidates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offramp.bundle import Bundle
from offramp.errors import BundleError
from offramp.tensors import Array

__all__ = ["FILE", "Calibration", "load_calibration"]

FILE = "calibration.safetensors"


@dataclass(frozen=True)
class Calibration:
    """The recorded outcomes of N held-out samples of C classes with E exits.

    ``labels`` int64 (N,); ``exit_logits`` float32 (E, N, C); ``final_logits`` float32 (N, C), of
    the whole uncut model. ``answers`` int16 (N,) and ``sizes`` int32 (N,), keyed by cut and codec
    level: the class that the tail answers from the decoded boundary, and the frames' bytes.
    """

    labels: Array
    exit_logits: Array
    final_logits: Array
    answers: Mapping[tuple[int, str], Array]
    sizes: Mapping[tuple[int, str], Array]

    @property
    def levels(self) -> list[tuple[int, str]]:
        """Every calibrated cut and codec level."""
        return list(self.answers)

    @property
    def accuracy(self) -> float:
        """The share of samples that the whole model answers rightly."""
        return float(np.mean(self.final_logits.argmax(axis=-1) == self.labels))

    def to_arrays(self) -> dict[str, Array]:
        """Return the arrays by the names under which a bundle stores them."""
        arrays = {
            "labels": self.labels,
            "exit_logits": self.exit_logits,
            "final_logits": self.final_logits,
        }
        for cut, level in self.levels:
            arrays[f"answers/{cut}/{level}"] = self.answers[cut, level]
            arrays[f"sizes/{cut}/{level}"] = self.sizes[cut, level]
        return arrays


def load_calibration(bundle: Bundle) -> Calibration:
    """Read a bundle's calibration arrays and check that they fit its manifest."""
    arrays = bundle.arrays(FILE)
    keys = [name.split("/") for name in arrays if name.startswith("answers/")]
    levels = sorted((int(cut), level) for _, cut, level in keys)
    try:
        calibration = Calibration(
            labels=arrays["labels"],
            exit_logits=arrays["exit_logits"],
            final_logits=arrays["final_logits"],
            answers={at: arrays[f"answers/{at[0]}/{at[1]}"] for at in levels},
            sizes={at: arrays[f"sizes/{at[0]}/{at[1]}"] for at in levels},
        )
    except KeyError as error:
        raise BundleError(f"bundle {bundle.digest[:12]} lacks the array {error}") from None
    count = len(calibration.labels)
    recorded = [*calibration.answers.values(), *calibration.sizes.values()]
    exits, samples = calibration.exit_logits.shape[:2]
    if (
        exits != len(bundle.manifest.exits)
        or samples != count
        or any(array.shape != (count,) for array in recorded)
    ):
        raise BundleError(f"bundle {bundle.digest[:12]}: calibration arrays do not fit together")
    return calibration
