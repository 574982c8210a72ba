"""Calibration: run held-out samples through every exit, cut and codec level, and record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import Ensemble, ExitSpec, Manifest
from offramp.calibration import FAITHFUL, Calibration
from offramp.capture.level_frontier import Recorded, frontier_levels
from offramp.capture.levels import Crossing, answer, batches, fit_levels, screen, with_levels
from offramp.exits import fit_temperature
from offramp.exits.ensemble import fit_ensemble, joint_classes
from offramp.exits.evidence import as_logits, as_state
from offramp.network import Codes, Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = ["batches", "calibrate", "record_again", "unfaithful"]

Report = Callable[[str], None]

OFFERED = [name for name in codecs.names() if codecs.get(name).offered]


@dataclass(frozen=True)
class _Passed:
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

    def record(self, manifest: Manifest, known: BundleCodecs, report: Report) -> Calibration:
        """Return the calibration arrays for a manifest's levels and ensembles."""
        answers, sizes, together = {}, {}, {}
        for cut, boundary in enumerate(manifest.boundaries):
            served, ensemble = self.served(cut), manifest.ensemble_at(cut)
            for level in boundary.levels:
                report(f"calibrating cut {cut}, level {level}")
                outputs, sizes[cut, level] = served.record(known, level)
                answers[cut, level] = self._classes(outputs)
                if ensemble is not None:
                    together[cut, level] = self._joint_classes(*ensemble, outputs)
        return Calibration(
            self.labels, self.exit_logits, self.final_logits, answers, sizes, together=together
        )

    def _classes(self, outputs: Array) -> Array:
        tensor = self.tail.bundle.manifest.answer == "tensor"
        found = unfaithful(outputs, self.whole) if tensor else outputs.argmax(axis=-1)
        return np.asarray(found, dtype=np.int32)

    def _joint_classes(self, at: int, ensemble: Ensemble, outputs: Array) -> Array:
        found = joint_classes(ensemble, self.exit_logits[at], as_logits(outputs))
        return found.astype(np.int32)


def calibrate(
    head: Network, tail: Network, held_out: LabelledSamples, report: Report
) -> tuple[dict[str, object], dict[str, Array], Calibration]:
    """Return the manifest's calibrated fields, the codecs' arrays and the recorded ones.

    ``head`` is what the device runs and ``tail`` what the server does; the same if both run the
    model as it is. The fields are ``boundaries`` with codec parameters, ``exits`` with
    temperatures and ensembles, and the final ``temperature``.
    """
    manifest = head.bundle.manifest
    report(f"calibrating on {len(held_out)} samples")
    passed = _pass(head, tail, held_out)
    arrays: dict[tuple[int, str], dict[str, Array]] = {}
    boundaries = list(manifest.boundaries)
    for cut in range(head.depth):
        report(f"fitting codecs to cut {cut}")
        served = passed.served(cut)
        fitted, learnt = fit_levels(served, OFFERED)
        boundaries[cut] = screen(served, fitted, learnt)
        arrays |= {(cut, level): found for level, found in learnt.items()}
    fields: dict[str, object] = {
        "boundaries": tuple(boundaries),
        "exits": tuple(map(passed.fit_exit, manifest.exits, passed.exit_logits)),
        "temperature": fit_temperature(passed.final_logits, held_out.labels),
    }
    every = {name: array for learnt in arrays.values() for name, array in learnt.items()}
    known, updated = BundleCodecs(boundaries, every), manifest.model_copy(update=fields)
    calibration = _keep_best(passed.record(updated, known, report), report)
    kept = calibration.levels
    fields["boundaries"] = tuple(
        with_levels(boundary, [level for at, level in kept if at == cut])
        for cut, boundary in enumerate(boundaries)
    )
    left = {name: array for place in kept for name, array in arrays[place].items()}
    return fields, left, calibration


def record_again(
    head: Network, tail: Network, samples: LabelledSamples, report: Report
) -> tuple[Calibration, tuple[Array, ...]]:
    """Return the arrays that other samples give, with the codec levels that the bundle has.

    The states of every exit come with them, as in `offramp.exits.Evidence`.
    """
    report(f"running {len(samples)} samples")
    passed = _pass(head, tail, samples)
    return passed.record(head.bundle.manifest, head.codecs, report), passed.states


def _pass(head: Network, tail: Network, samples: LabelledSamples) -> _Passed:
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
    return _Passed(head, tail, samples.labels, values, whole, final_logits, stacked)


def _all_boundaries(network: Network, held_out: LabelledSamples) -> list[list[Array]]:
    """Return the tensors of every boundary for all samples."""
    values = [list(held_out.inputs)]
    for at in range(network.depth):
        parts = [network.run_segment(at, rows) for rows in batches(values[at])]
        values.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    return values


def _keep_best(calibration: Calibration, report: Report) -> Calibration:
    """Return the outcomes at those levels that are worth keeping, cut by cut."""
    kept = []
    for cut in dict.fromkeys(cut for cut, _ in calibration.levels):
        recorded = {
            level: Recorded(
                calibration.sizes[place],
                float(np.mean(calibration.answers[place] != calibration.labels)),
            )
            for place in calibration.levels
            for at, level in [place]
            if at == cut
        }
        best = frontier_levels(recorded)
        report(f"cut {cut}: of {len(recorded)} levels {len(best)} are beaten by no other")
        kept += [(cut, level) for level in best]
    return replace(
        calibration,
        answers={place: calibration.answers[place] for place in kept},
        sizes={place: calibration.sizes[place] for place in kept},
        together={
            place: calibration.together[place] for place in kept if place in calibration.together
        },
    )


def unfaithful(outputs: Array, whole: Array) -> Array:
    """Tell for each sample whether an answer is too far from the whole model's."""
    rows = whole.reshape(len(whole), -1).astype(np.float64)
    off = np.linalg.norm(outputs.reshape(rows.shape) - rows, axis=1)
    return np.asarray(off > FAITHFUL * np.linalg.norm(rows, axis=1))
