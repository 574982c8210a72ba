"""Exporters: how a segment is written for the backends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safetensors.torch import save
from torch import Tensor, fx

from offramp.backends import BACKENDS, Chain, Link, installed
from offramp.capture.exporters.exporter import Exporter
from offramp.capture.exporters.onnx import OnnxExporter
from offramp.capture.exporters.program import ProgramExporter
from offramp.errors import CaptureError
from offramp.files import scratch_folder

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
            written = exporter.export(module, examples, weights)
            _try_out(exporter.file, written, weights, examples)
            files[f"{folder}/{exporter.file}"] = written
        except CaptureError as error:
            readers = [name for name, backend in BACKENDS.items() if backend.file == exporter.file]
            skipped.update(dict.fromkeys(readers, str(error)))
    if len(files) == 1:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise CaptureError(f"no backend can run {folder} ({reasons})")
    return Exported(files, skipped)


def _try_out(file: str, written: bytes, weights: bytes, examples: Sequence[Tensor]) -> None:
    """Run a program once on the engine that is for it: exporters write more than engines can run.

    Raises `CaptureError` with the engine's reason.
    """
    engines = [e for e in installed() if e.file == file and e.ready_at_once]
    for engine in engines[:1]:
        with scratch_folder() as home:
            (home / file).write_bytes(written)
            (home / "weights.safetensors").write_bytes(weights)
            try:
                run = engine.load(Chain((Link(home, (), ()),), ()), threads=1)
                run([example.numpy() for example in examples])
            except Exception as error:  # each engine raises its own kinds
                reason = " ".join(str(error).replace(f"{home}/", "").split())[:300]
                raise CaptureError(f"it does not run there: {reason}") from error


def weights_of(module: fx.GraphModule) -> dict[str, Tensor]:
    """Return copies of the tensors that a segment's graph refers to, by name."""
    names = [str(node.target) for node in module.graph.nodes if node.op == "get_attr"]
    return {name: module.get_buffer(name).detach().clone().contiguous() for name in names}
