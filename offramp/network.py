"""A network: a bundle's segments and exit heads, loaded on one backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from offramp import backends
from offramp.backends import Backend
from offramp.bundle import Bundle, ExitSpec, SegmentSpec
from offramp.bundle.part import engines_of
from offramp.errors import BundleError
from offramp.tensors import Array

__all__ = ["Network"]


class Network:
    """Runs any part of a bundle's model.

    Tensors are lists of arrays in the boundary's order, each with the batch as its first
    dimension. ``backend`` is by default the first that can run the whole bundle here.
    ``segments`` limits what is loaded to a range of segments and the exits on the boundaries
    inside it.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str | None = None,
        threads: int = 1,
        segments: range | None = None,
    ) -> None:
        manifest = bundle.manifest
        engine = _first(bundle) if backend is None else backends.get(backend)
        held = range(len(manifest.segments)) if segments is None else segments
        self.bundle = bundle
        self.backend = engine.name
        self.depth = len(manifest.segments)
        self._names = [[tensor.name for tensor in b.tensors] for b in manifest.boundaries]
        self._segments = {
            at: engine.load([_folder(bundle, manifest.segments[at], engine)], threads)
            for at in held
        }
        self._exits = {
            at: engine.load([_folder(bundle, spec, engine)], threads)
            for at, spec in enumerate(manifest.exits)
            if spec.boundary - 1 in held
        }

    def run_segment(self, at: int, tensors: Sequence[Array]) -> list[Array]:
        """Run segment ``at`` on the tensors of boundary ``at``; return those of the next one."""
        before, behind = self._names[at], self._names[at + 1]
        spec = self.bundle.manifest.segments[at]
        values = dict(zip(before, tensors, strict=True))
        made = self._segments[at]([values[name] for name in spec.reads])
        values.update(zip(spec.makes, made, strict=True))
        return [values[name] for name in behind]

    def run(self, start: int, stop: int, tensors: Sequence[Array]) -> list[Array]:
        """Run segments ``start`` to ``stop - 1`` on the tensors of boundary ``start``."""
        values = list(tensors)
        for at in range(start, stop):
            values = self.run_segment(at, values)
        return values

    def exit_logits(self, at: int, tensors: Sequence[Array]) -> Array:
        """Return the logits, shape (batch, classes), of exit ``at`` on its boundary's tensors."""
        spec = self.bundle.manifest.exits[at]
        return self._exits[at]([tensors[self._names[spec.boundary].index(spec.tensor)]])[0]


def _first(bundle: Bundle) -> Backend:
    made_for = engines_of(bundle.manifest)
    able = bundle.backends or [one for one in backends.installed() if one.name in made_for]
    if not able:
        raise BundleError(
            f"no backend that is installed here can run bundle {bundle.digest[:12]}, which is "
            f"made for {', '.join(made_for) or 'none that this release knows'}; install one of them"
        )
    return able[0]


def _folder(bundle: Bundle, program: SegmentSpec | ExitSpec, backend: Backend) -> Path:
    """Return a program's folder; raise `BundleError` unless the manifest vouches for its files."""
    if backend.name in program.skipped:
        raise BundleError(
            f"backend {backend.name!r} cannot run {program.folder} of bundle "
            f"{bundle.digest[:12]} ({program.skipped[backend.name]}); choose another"
        )
    first, *others = backend.files(program.folder)
    home = bundle.path(first).parent
    for name in others:
        if name in bundle.manifest.files or (bundle.folder / name).exists():
            bundle.path(name)
    return home
