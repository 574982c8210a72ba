"""Exporters: how a segment is written for the backends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safetensors.torch import save
from torch import Tensor, fx

from offramp.backends import BACKENDS
from offramp.capture.exporters.exporter import Exporter
from offramp.capture.exporters.onnx import OnnxExporter
from offramp.capture.exporters.program import ProgramExporter
from offramp.errors import CaptureError

__all__ = ["EXPORTERS", "Exported", "Exporter", "export_segment", "weights_of"]

EXPORTERS: dict[str, Exporter] = {
    exporter.file: exporter for exporter in (OnnxExporter(), ProgramExporter())
}


@dataclass(frozen=True)
class Exported:
    """A segment's files by path, and the backends that cannot run it, each with the reason."""

    files: dict[str, bytes]
    skipped: dict[str, str]


def export_segment(module: fx.GraphModule, examples: Sequence[Tensor], folder: str) -> Exported:
    """Write a segment for every backend that can take it.

    Its weights are written once; see `Exporter.export` for ``module`` and ``examples``. Raises
    `CaptureError` with every backend's reason if none can take it.
    """
    weights = save(weights_of(module))
    files = {f"{folder}/weights.safetensors": weights}
    skipped: dict[str, str] = {}
    for exporter in EXPORTERS.values():
        try:
            files[f"{folder}/{exporter.file}"] = exporter.export(module, examples, weights)
        except CaptureError as error:
            readers = [name for name, backend in BACKENDS.items() if backend.file == exporter.file]
            skipped.update(dict.fromkeys(readers, str(error)))
    if len(files) == 1:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise CaptureError(f"no backend can run {folder} ({reasons})")
    return Exported(files, skipped)


def weights_of(module: fx.GraphModule) -> dict[str, Tensor]:
    """Return copies of the tensors that a segment's graph refers to, by name."""
    names = [str(node.target) for node in module.graph.nodes if node.op == "get_attr"]
    return {name: module.get_buffer(name).detach().clone().contiguous() for name in names}
