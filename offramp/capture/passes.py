"""Passes: what a head and a tail make of samples, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.boundary_codec import BundleCodecs
from offramp.bundle import Boundary, Ensemble, ExitSpec, Manifest
from offramp.calibration import FAITHFUL, Calibration
from offramp.capture.levels import Crossing, Followed, answer, batches
from offramp.exits import fit_temperature
from offramp.exits.ensemble import fit_ensemble, joint_classes
from offramp.exits.evidence import as_logits, as_state
from offramp.exits.later import LaterAnswers, exits_to_run, margin_of
from offramp.guarantee.later_exits import Crossed, fit_later_exits
from offramp.network import Codes, Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = ["Passed", "Place", "Seen", "pass_samples", "unfaithful"]

Report = Callable[[str], None]
Place = tuple[int, str]
"""A cut and a codec level."""


@dataclass(frozen=True)
class Seen:
    """What exits behind a cut and the end say of the samples at a level, and their bytes.

    ``joint`` are the classes of the end together with the last exit before the cut, if that helps.
    """

    later: LaterAnswers
    joint: Array | None
    sizes: Array

    def crossed(self, labels: Array, before: NDArray[np.float64]) -> Crossed:
        """Return the same as what later exits are fitted to."""
        ends = (self.later.end,) if self.joint is None else (self.later.end, self.joint)
        return Crossed(self.later, labels, ends, before)


@dataclass(frozen=True)
class Passed:
    """What a head and a tail made of all samples.

    ``values`` are the tensors of every boundary as the head made them, ``whole`` the first output
    of the whole model on the tail's network.
    """

    head: Network
    tail: Network
    labels: Array
    values: list[list[Array]]
    whole: Array
    final_logits: Array
    exit_logits: Array

    @property
    def states(self) -> tuple[Array, ...]:
        """What each exit reads, averaged over positions."""
        manifest = self.head.bundle.manifest
        names = [[tensor.name for tensor in boundary.tensors] for boundary in manifest.boundaries]
        return tuple(
            as_state(self.values[spec.boundary][names[spec.boundary].index(spec.tensor)])
            for spec in manifest.exits
        )

    def fit_exit(self, spec: ExitSpec, logits: Array) -> ExitSpec:
        """Return an exit with its temperature, and with its ensemble if that answers better."""
        found = {
            "temperature": fit_temperature(logits, self.labels),
            "ensemble": fit_ensemble(logits, self.final_logits, self.labels),
        }
        return spec.model_copy(update=found)

    def served(self, cut: int) -> Crossing:
        """Return what crosses a cut, and its tail."""
        same, values = self.tail is self.head, self.values[cut]
        plain = self.whole if same else answer(self.tail, cut, values)
        return Crossing(self.head, self.tail, cut, values, plain)

    def see(
        self, manifest: Manifest, known: BundleCodecs, report: Report, *, fitting: bool
    ) -> dict[Place, Seen]:
        """Return what tails say of the samples at a manifest's cuts and levels.

        For ``fitting`` all exits that can answer behind a cut run, else those that are to answer.
        """
        seen = {}
        for cut, boundary in enumerate(manifest.boundaries):
            served, ensemble = self.served(cut), manifest.ensemble_at(cut)
            for level in boundary.levels:
                report(f"calibrating cut {cut}, level {level}")
                exits = manifest.later_exits(cut)
                if not fitting:
                    exits = exits_to_run(manifest, manifest.later_at(cut, level))
                followed, sizes = served.follow(known, level, exits)
                joint = ensemble and self._joint_classes(*ensemble, followed.end)
                seen[cut, level] = Seen(self._later(manifest, followed), joint, sizes)
        return seen

    def _later(self, manifest: Manifest, followed: Followed) -> LaterAnswers:
        end = self._classes(followed.end)
        if not followed.exits:
            return LaterAnswers.none(end)
        pairs = [
            (manifest.exits[at], logits)
            for at, logits in zip(followed.exits, followed.logits, strict=True)
        ]
        return LaterAnswers(
            followed.exits,
            np.stack([margin_of(spec, logits) for spec, logits in pairs]),
            np.stack([logits.argmax(axis=-1).astype(np.int32) for _, logits in pairs]),
            end,
        )

    def fit_later(self, manifest: Manifest, seen: Mapping[Place, Seen]) -> tuple[Boundary, ...]:
        """Return the boundaries with the exits behind them at which the server may answer."""
        boundaries = list(manifest.boundaries)
        for cut, boundary in enumerate(boundaries):
            specs = manifest.exits[: manifest.exits_before(cut)]
            pairs = zip(specs, self.exit_logits, strict=False)
            before = [margin_of(spec, logits) for spec, logits in pairs]
            margins = np.array(before).reshape(len(before), len(self.labels))
            found = {
                level: fit_later_exits(
                    manifest, cut, seen[cut, level].crossed(self.labels, margins)
                )
                for level in boundary.levels
            }
            later = {level: fitted for level, fitted in found.items() if fitted}
            boundaries[cut] = boundary.model_copy(update={"later": later or None})
        return tuple(boundaries)

    def record(self, manifest: Manifest, seen: Mapping[Place, Seen]) -> Calibration:
        """Return the calibration arrays for a manifest's levels, ensembles and later exits."""
        answers, together, leaves = {}, {}, {}
        for place, one in seen.items():
            thresholds = manifest.later_at(*place)
            rows = one.later.leaves(thresholds)
            answers[place] = one.later.answers(rows, one.later.end)
            if one.joint is not None:
                together[place] = one.later.answers(rows, one.joint)
            if thresholds:
                numbers = np.array([*one.later.exits, len(manifest.exits)], np.int32)
                leaves[place] = numbers[rows]
        sizes = {place: one.sizes for place, one in seen.items()}
        return Calibration(
            self.labels,
            self.exit_logits,
            self.final_logits,
            answers,
            sizes,
            together=together,
            leaves=leaves,
        )

    def _classes(self, outputs: Array) -> Array:
        tensor = self.tail.bundle.manifest.answer == "tensor"
        found = unfaithful(outputs, self.whole) if tensor else outputs.argmax(axis=-1)
        return np.asarray(found, dtype=np.int32)

    def _joint_classes(self, at: int, ensemble: Ensemble, outputs: Array) -> Array:
        found = joint_classes(ensemble, self.exit_logits[at], as_logits(outputs))
        return found.astype(np.int32)


def pass_samples(head: Network, tail: Network, samples: LabelledSamples) -> Passed:
    """Run samples through a head and all its exits, and through the whole model on a tail."""
    manifest = head.bundle.manifest
    values = _all_boundaries(head, samples)
    final = values[-1][0]
    whole = final if tail is head else answer(tail, 0, values[0])
    final_logits = as_logits(final)
    if manifest.answer == "tensor":
        final_logits = np.eye(2, dtype=np.float32)[unfaithful(final, whole).astype(int)]
    codes: list[Codes] = [{} for _ in batches(values[0])]
    exit_logits = [
        as_logits(np.concatenate([head.exit_logits(at, *part) for part in parts]))
        for at, spec in enumerate(manifest.exits)
        for parts in [zip(batches(values[spec.boundary]), codes, strict=True)]
    ]
    none = np.zeros((0, *final_logits.shape), np.float32)
    stacked = np.stack(exit_logits) if exit_logits else none
    return Passed(head, tail, samples.labels, values, whole, final_logits, stacked)


def _all_boundaries(network: Network, held_out: LabelledSamples) -> list[list[Array]]:
    """Return the tensors of every boundary for all samples."""
    values = [list(held_out.inputs)]
    for at in range(network.depth):
        parts = [network.run_segment(at, rows) for rows in batches(values[at])]
        values.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    return values


def unfaithful(outputs: Array, whole: Array) -> Array:
    """Tell for each sample whether an answer is too far from the whole model's."""
    rows = whole.reshape(len(whole), -1).astype(np.float64)
    off = np.linalg.norm(outputs.reshape(rows.shape) - rows, axis=1)
    return np.asarray(off > FAITHFUL * np.linalg.norm(rows, axis=1))
