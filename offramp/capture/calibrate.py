"""Calibration: run held-out samples through every exit, cut and codec level, and record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from offramp import codecs
from offramp.boundary_codec import BoundaryCodec, codec_of, decode_boundary
from offramp.bundle import Boundary, Ensemble, ExitSpec, Manifest
from offramp.calibration import FAITHFUL, Calibration
from offramp.exits import fit_temperature
from offramp.exits.ensemble import fit_ensemble, joint_classes
from offramp.exits.evidence import as_logits, as_state
from offramp.network import Codes, Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = ["batches", "calibrate", "record_again", "unfaithful"]

BATCH = 50
FIT_SAMPLES = 200
Report = Callable[[str], None]


@dataclass(frozen=True)
class _Served:
    """The tensors of one cut as a head made them, and the tail that answers them.

    ``plain`` is its output for these very tensors.
    """

    tail: Network
    cut: int
    values: list[Array]
    plain: Array

    def record(self, boundary: Boundary, level: str) -> tuple[Array, Array]:
        """Return the tail's outputs and the bytes of all samples if they cross at a level."""
        codec = BoundaryCodec(boundary, level)
        lossless = codecs.get(level).lossless
        received, sizes = [], []
        for sample in zip(*self.values, strict=True):
            frames = codec.encode(sample)
            sizes.append(sum(len(frame) for frame in frames))
            if not lossless:
                limit_bytes = boundary.nbytes
                received.append(decode_boundary(frames, boundary.tensors, limit_bytes=limit_bytes))
        outputs = self.plain
        if not lossless:
            tensors = [np.stack(part) for part in zip(*received, strict=True)]
            outputs = _answer(self.tail, self.cut, tensors)
        return outputs, np.array(sizes, dtype=np.int32)


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

    def record(self, manifest: Manifest, report: Report) -> Calibration:
        """Return the calibration arrays for a manifest's levels and ensembles."""
        answers, sizes, together = {}, {}, {}
        for cut, boundary in enumerate(manifest.boundaries):
            same, values = self.tail is self.head, self.values[cut]
            plain = self.whole if same else _answer(self.tail, cut, values)
            served, ensemble = _Served(self.tail, cut, values, plain), manifest.ensemble_at(cut)
            for level in boundary.levels:
                report(f"calibrating cut {cut}, level {level}")
                outputs, sizes[cut, level] = served.record(boundary, level)
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
) -> tuple[dict[str, object], Calibration]:
    """Return the manifest's calibrated fields and the recorded arrays.

    ``head`` is what the device runs and ``tail`` what the server does; the same if both run the
    model as it is. The fields are ``boundaries`` with codec parameters, ``exits`` with
    temperatures and ensembles, and the final ``temperature``.
    """
    manifest = head.bundle.manifest
    report(f"calibrating on {len(held_out)} samples")
    passed = _pass(head, tail, held_out)
    boundaries = tuple(
        boundary if cut == head.depth else _fit_levels(boundary, passed.values[cut])
        for cut, boundary in enumerate(manifest.boundaries)
    )
    fields: dict[str, object] = {
        "boundaries": boundaries,
        "exits": tuple(map(passed.fit_exit, manifest.exits, passed.exit_logits)),
        "temperature": fit_temperature(passed.final_logits, held_out.labels),
    }
    return fields, passed.record(manifest.model_copy(update=fields), report)


def record_again(
    head: Network, tail: Network, samples: LabelledSamples, report: Report
) -> tuple[Calibration, tuple[Array, ...]]:
    """Return the arrays that other samples give, with the codec levels that the bundle has.

    The states of every exit come with them, as in `offramp.exits.Evidence`.
    """
    report(f"running {len(samples)} samples")
    passed = _pass(head, tail, samples)
    return passed.record(head.bundle.manifest, report), passed.states


def _pass(head: Network, tail: Network, samples: LabelledSamples) -> _Passed:
    manifest = head.bundle.manifest
    values = _all_boundaries(head, samples)
    final = values[-1][0]
    whole = final if tail is head else _answer(tail, 0, values[0])
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


def _fit_levels(boundary: Boundary, tensors: list[Array]) -> Boundary:
    """Calibrate every level that can carry one of the boundary's tensors at least."""
    pairs = list(zip(boundary.tensors, tensors, strict=True))
    levels = {
        name: tuple(
            codec_of(name, spec).fit(array[:FIT_SAMPLES]).parameters() for spec, array in pairs
        )
        for name in codecs.names()
        if any(codecs.get(name).supports(spec) for spec in boundary.tensors)
    }
    return boundary.model_copy(update={"levels": levels})


def _answer(network: Network, cut: int, tensors: list[Array]) -> Array:
    """Return the model's first output for all samples, from the tensors of a cut."""
    return _in_batches(lambda rows: network.run(cut, network.depth, rows)[0], tensors)


def unfaithful(outputs: Array, whole: Array) -> Array:
    """Tell for each sample whether an answer is too far from the whole model's."""
    rows = whole.reshape(len(whole), -1).astype(np.float64)
    off = np.linalg.norm(outputs.reshape(rows.shape) - rows, axis=1)
    return np.asarray(off > FAITHFUL * np.linalg.norm(rows, axis=1))


def _in_batches(run: Callable[[list[Array]], Array], tensors: list[Array]) -> Array:
    return np.concatenate([run(rows) for rows in batches(tensors)])


def batches(tensors: list[Array]) -> Iterator[list[Array]]:
    """Yield the tensors a few samples at a time."""
    for start in range(0, len(tensors[0]), BATCH):
        yield [array[start : start + BATCH] for array in tensors]
