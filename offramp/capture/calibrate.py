"""Calibration: run held-out samples through every exit, cut and codec level, and record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import Boundary, Ensemble, ExitSpec, Manifest
from offramp.bundle.later_lines import later_lines
from offramp.calibration import FAITHFUL, Calibration
from offramp.capture.level_frontier import Recorded, frontier_levels
from offramp.capture.levels import (
    Crossing,
    Followed,
    answer,
    batches,
    fit_levels,
    screen,
    with_levels,
)
from offramp.exits import fit_temperature
from offramp.exits.ensemble import fit_ensemble, joint_classes
from offramp.exits.evidence import as_logits, as_state
from offramp.exits.later import LaterAnswers, exits_to_run, margin_of
from offramp.guarantee.later_exits import Crossed, fit_later_exits
from offramp.network import Codes, Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = ["batches", "calibrate", "record_again", "unfaithful"]

Report = Callable[[str], None]
Place = tuple[int, str]
"""A cut and a codec level."""

OFFERED = [name for name in codecs.names() if codecs.get(name).offered]


@dataclass(frozen=True)
class _Seen:
    """What exits behind a cut and the end say of the samples at a level, and their bytes.

    ``joint`` are the classes of the end together with the last exit before the cut, if that helps.
    """

    later: LaterAnswers
    joint: Array | None
    sizes: Array

    def crossed(self, labels: Array, before: NDArray[np.float64]) -> Crossed:
        ends = (self.later.end,) if self.joint is None else (self.later.end, self.joint)
        return Crossed(self.later, labels, ends, before)


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

    def see(
        self, manifest: Manifest, known: BundleCodecs, report: Report, *, fitting: bool
    ) -> dict[Place, _Seen]:
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
                seen[cut, level] = _Seen(self._later(manifest, followed), joint, sizes)
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

    def fit_later(self, manifest: Manifest, seen: Mapping[Place, _Seen]) -> tuple[Boundary, ...]:
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

    def record(self, manifest: Manifest, seen: Mapping[Place, _Seen]) -> Calibration:
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


def calibrate(
    head: Network,
    tail: Network,
    held_out: LabelledSamples,
    report: Report,
    *,
    later_exits: bool = True,
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
    seen = _keep_best(
        passed.see(updated, known, report, fitting=later_exits), held_out.labels, report
    )
    kept = tuple(
        with_levels(boundary, [level for at, level in seen if at == cut])
        for cut, boundary in enumerate(boundaries)
    )
    updated = updated.model_copy(update={"boundaries": kept})
    fields["boundaries"] = passed.fit_later(updated, seen) if later_exits else kept
    updated = updated.model_copy(update={"boundaries": fields["boundaries"]})
    calibration = passed.record(updated, seen)
    for line in later_lines(updated, calibration):
        report(line)
    left = {name: array for place in seen for name, array in arrays[place].items()}
    return fields, left, calibration


def record_again(
    head: Network, tail: Network, samples: LabelledSamples, report: Report
) -> tuple[Calibration, tuple[Array, ...]]:
    """Return the arrays that other samples give, with the codec levels that the bundle has.

    The states of every exit come with them, as in `offramp.exits.Evidence`.
    """
    report(f"running {len(samples)} samples")
    manifest = head.bundle.manifest
    passed = _pass(head, tail, samples)
    seen = passed.see(manifest, head.codecs, report, fitting=False)
    return passed.record(manifest, seen), passed.states


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


def _keep_best(seen: Mapping[Place, _Seen], labels: Array, report: Report) -> dict[Place, _Seen]:
    """Return what was seen at those levels that are worth keeping, cut by cut."""
    kept: dict[Place, _Seen] = {}
    for cut in dict.fromkeys(cut for cut, _ in seen):
        recorded = {
            level: Recorded(one.sizes, float(np.mean(one.later.end != labels)))
            for (at, level), one in seen.items()
            if at == cut
        }
        best = frontier_levels(recorded)
        report(f"cut {cut}: of {len(recorded)} levels {len(best)} are beaten by no other")
        kept |= {(cut, level): seen[cut, level] for level in best}
    return kept


def unfaithful(outputs: Array, whole: Array) -> Array:
    """Tell for each sample whether an answer is too far from the whole model's."""
    rows = whole.reshape(len(whole), -1).astype(np.float64)
    off = np.linalg.norm(outputs.reshape(rows.shape) - rows, axis=1)
    return np.asarray(off > FAITHFUL * np.linalg.norm(rows, axis=1))
