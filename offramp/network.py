"""A network: a bundle's segments and exit heads, loaded on one backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from offramp import backends
from offramp.bundle import Bundle
from offramp.tensors import Array

__all__ = ["Network"]


class Network:
    """Runs any part of a bundle's model.

    Tensors are lists of arrays in the boundary's order, each with the batch as its first
    dimension. ``segments`` limits what is loaded to a range of segments and the exits on the
    boundaries inside it.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str = "onnxruntime",
        threads: int = 1,
        segments: range | None = None,
    ) -> None:
        manifest = bundle.manifest
        engine = backends.get(backend)
        held = range(len(manifest.segments)) if segments is None else segments
        self.bundle = bundle
        self.backend = backend
        self.depth = len(manifest.segments)
        self._segments = {
            at: engine.load(_program(bundle, manifest.segments[at].folder, engine), threads)
            for at in held
        }
        self._exits = {
            at: engine.load(_program(bundle, spec.folder, engine), threads)
            for at, spec in enumerate(manifest.exits)
            if spec.boundary - 1 in held
        }

    def run_segment(self, at: int, tensors: Sequence[Array]) -> list[Array]:
        """Run segment ``at`` on the tensors of boundary ``at``."""
        return self._segments[at](tensors)

    def run(self, start: int, stop: int, tensors: Sequence[Array]) -> list[Array]:
        """Run segments ``start`` to ``stop - 1`` on the tensors of boundary ``start``."""
        values = list(tensors)
        for at in range(start, stop):
            values = self.run_segment(at, values)
        return values

    def exit_logits(self, at: int, tensors: Sequence[Array]) -> Array:
        """Return the logits, shape (batch, classes), of exit ``at`` on its boundary's tensors."""
        return self._exits[at](tensors)[0]


def _program(bundle: Bundle, folder: str, engine: backends.Backend) -> Path:
    """Return a program's folder; raise `BundleError` unless the manifest vouches for its files."""
    program, *others = engine.files(folder)
    home = bundle.path(program).parent
    for name in others:
        if name in bundle.manifest.files or (bundle.folder / name).exists():
            bundle.path(name)
    return home
