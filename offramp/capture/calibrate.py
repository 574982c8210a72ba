"""Calibration: run held-out samples through every exit, cut and codec level, and record."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle.later_lines import later_lines
from offramp.calibration import Calibration
from offramp.capture.level_frontier import Recorded, frontier_levels
from offramp.capture.levels import fit_levels, screen, with_levels
from offramp.capture.passes import Place, Seen, pass_samples
from offramp.exits import fit_temperature
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = ["calibrate", "record_again"]

Report = Callable[[str], None]

OFFERED = [name for name in codecs.names() if codecs.get(name).offered]


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
    passed = pass_samples(head, tail, held_out)
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
    passed = pass_samples(head, tail, samples)
    seen = passed.see(manifest, head.codecs, report, fitting=False)
    return passed.record(manifest, seen), passed.states


def _keep_best(seen: Mapping[Place, Seen], labels: Array, report: Report) -> dict[Place, Seen]:
    """Return what was seen at those levels that are worth keeping, cut by cut."""
    kept: dict[Place, Seen] = {}
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
