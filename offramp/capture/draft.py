"""The draft of a bundle: what a compile has found so far, as files and fields of the manifest."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save as save_arrays
from torch import Tensor, nn

from offramp import __version__, codecs, exits
from offramp.bottlenecks import Bottleneck
from offramp.bundle import (
    BottleneckSpec,
    Boundary,
    Bundle,
    ExitSpec,
    ProgramSpec,
    SegmentSpec,
)
from offramp.bundle.archive import make_manifest
from offramp.bundle.frontier import FILE as FRONTIER_FILE
from offramp.bundle.frontier import encode_frontier
from offramp.calibration import FILE as CALIBRATION_FILE
from offramp.calibration import Calibration, score_exits
from offramp.capture.cutting import CutModel, cut_graph
from offramp.capture.export import export
from offramp.capture.exporters import export_segment
from offramp.capture.graph import read_program
from offramp.capture.outline import write_outline
from offramp.errors import CaptureError
from offramp.exits import FittedPolicy
from offramp.exits.heads import CarryingHead
from offramp.guarantee.device_costs import count_macs
from offramp.guarantee.plan_frontier import trace_plans
from offramp.samples import Samples
from offramp.tensors import Array, TensorSpec

__all__ = ["Draft", "origin"]

EXAMPLES = 4
Report = Callable[[str], None]


@dataclass
class Draft:
    """A bundle in the making."""

    fields: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)

    def add_segments(self, cut: CutModel, samples: Samples, report: Report) -> None:
        """Export every segment, traced on the first samples, which the bundle keeps."""
        few = {
            spec.name: array[:EXAMPLES]
            for spec, array in zip(cut.boundaries[0], samples.inputs, strict=True)
        }
        self.add_arrays("examples.safetensors", few)
        self.files["graph.json"] = write_outline(cut)
        values = {name: torch.from_numpy(array) for name, array in few.items()}
        specs = []
        for at, segment in enumerate(cut.segments):
            report(f"exporting segment {at + 1} of {len(cut.segments)}")
            folder = f"segments/{at:02d}"
            reads, makes = _names(segment.reads), _names(segment.makes)
            given = [values[name] for name in reads]
            exported = export_segment(segment.module, given, folder)
            self.files.update(exported.files)
            specs.append(
                SegmentSpec(
                    folder=folder, macs=segment.macs, reads=reads, makes=makes,
                    skipped=exported.skipped,
                )
            )  # fmt: skip
            for reason in dict.fromkeys(exported.skipped.values()):
                skipped = [name for name, why in exported.skipped.items() if why == reason]
                report(f"skipping {', '.join(skipped)} in {folder}: {reason}")
            with torch.no_grad():
                values.update(zip(makes, segment.module(*given), strict=True))
        self.fields["segments"] = tuple(specs)
        self.fields["boundaries"] = tuple(Boundary(tensors=b) for b in cut.boundaries)
        self.fields["gap"] = cut.chain.gap

    def add_exit(self, head: nn.Module, path: str, place: tuple[int, str]) -> None:
        """Export an exit head that reads one tensor of a boundary."""
        boundary, tensor = place
        known = self.fields.get("exits", ())
        example, follows, program = [_random(self.tensor(place))], None, head
        if isinstance(head, CarryingHead):
            program = _Carrying(head)
            if head.follows is not None:
                follows = [spec.name for spec in known].index(head.follows)
                example.append(_random(TensorSpec("code", "float32", head.code_shape)))
        exported = self._add_program(program, example, f"exits/{len(known):02d}")
        spec = ExitSpec(
            name=path, boundary=boundary, tensor=tensor, follows=follows, **dict(exported)
        )
        self.fields["exits"] = (*known, spec)

    def add_bottleneck(self, pair: Bottleneck, path: str, place: tuple[int, str]) -> None:
        """Export a bottleneck's encoder and decoder for one tensor of a boundary."""
        boundary, spec = place[0], self.tensor(place)
        if spec.shape != pair.shape or spec.dtype != "float32":
            raise CaptureError(
                f"the bottleneck behind {path!r} is for float32 of shape {pair.shape}, but there "
                f"{spec.dtype} of shape {spec.shape} crosses; train it on this model"
            )
        boundaries: list[Boundary] = list(self.fields["boundaries"])
        if boundaries[boundary].bottleneck:
            raise CaptureError(
                f"two bottlenecks, one behind {path!r}, are at one cut; leave one out"
            )
        latent = TensorSpec("latent", "float32", pair.latent_shape)
        folder = f"bottlenecks/{boundary:02d}"
        bottleneck = BottleneckSpec(
            tensor=spec.name,
            latent=latent,
            encoder=self._add_program(pair.encoder, [_random(spec)], f"{folder}/encoder"),
            decoder=self._add_program(pair.decoder, [_random(latent)], f"{folder}/decoder"),
        )
        found = boundaries[boundary].model_copy(update={"bottleneck": bottleneck})
        boundaries[boundary] = found
        self.fields["boundaries"] = tuple(boundaries)

    def _add_program(self, module: nn.Module, example: list[Tensor], folder: str) -> ProgramSpec:
        """Export a module that stands beside the segments."""
        (segment,) = cut_graph(read_program(export(module, example)), example, (), 1).segments
        exported = export_segment(segment.module, example, folder)
        self.files.update(exported.files)
        return ProgramSpec(folder=folder, macs=segment.macs, skipped=exported.skipped)

    def add_calibration(self, calibration: Calibration) -> None:
        """Add what calibrating recorded, and the plans that no other beats by it."""
        self.add_arrays(CALIBRATION_FILE, calibration.to_arrays())
        manifest = make_manifest(self.fields, self.files)
        policy = FittedPolicy(exits.get(manifest.policy))
        scores = score_exits(manifest, calibration, policy)
        frontier = trace_plans(manifest, calibration, scores, count_macs(manifest))
        self.files[FRONTIER_FILE] = encode_frontier(frontier)

    def drop_beaten_bottlenecks(self, report: Report) -> None:
        """Leave out the bottlenecks whose levels were all beaten by other codecs."""
        boundaries: list[Boundary] = list(self.fields["boundaries"])
        for at, boundary in enumerate(boundaries):
            pair = boundary.bottleneck
            if pair and not any(codecs.get(level).of_latents for level in boundary.levels):
                report(f"leaving out the bottleneck at cut {at}: other codecs beat all its levels")
                boundaries[at] = boundary.model_copy(update={"bottleneck": None})
                for program in (pair.encoder, pair.decoder):
                    self._remove(program.folder)
        self.fields["boundaries"] = tuple(boundaries)

    def _remove(self, folder: str) -> None:
        self.files = {n: d for n, d in self.files.items() if not n.startswith(f"{folder}/")}

    def tensor(self, place: tuple[int, str]) -> TensorSpec:
        """Return the tensor of a boundary by name."""
        boundary, name = place
        tensors: tuple[TensorSpec, ...] = self.fields["boundaries"][boundary].tensors
        return next(spec for spec in tensors if spec.name == name)

    def add_arrays(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Add a safetensors file."""
        plain = {key: np.asarray(array, order="C") for key, array in arrays.items()}
        self.files[name] = save_arrays(plain)

    def lay_out(self, folder: Path) -> Bundle:
        """Write the files to a folder, so that backends can load them."""
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return Bundle(make_manifest(self.fields, self.files), "0" * 64, folder)


class _Carrying(nn.Module):
    """A carrying head as a program: it returns its code too if another head follows."""

    def __init__(self, head: CarryingHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, feature: Tensor, code: Tensor | None = None) -> tuple[Tensor, ...]:
        answer = self.head.carry(feature, code)
        return answer if self.head.followed else answer[:1]


def origin() -> dict[str, str]:
    """Return when and with what a bundle is compiled, for its card."""
    return {
        "compiled": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": f"offramp {__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}",
    }


def _names(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    return tuple(spec.name for spec in specs)


def _random(spec: TensorSpec) -> Tensor:
    return torch.rand(2, *spec.shape, generator=torch.Generator().manual_seed(0))
