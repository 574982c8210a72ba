"""A network: a bundle's segments and exit heads, loaded on one backend."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from offramp import backends
from offramp.backends import Backend, Chain, Link, Run
from offramp.boundary_codec import BundleCodecs, References, Sent
from offramp.bundle import BottleneckSpec, Bundle, Manifest, ProgramSpec
from offramp.bundle.part import engines_of
from offramp.errors import BundleError, EngineError
from offramp.memory import return_unused_memory
from offramp.tensors import Array

__all__ = ["Codes", "Network", "choose_backend"]

Codes = dict[str, Array]
"""What exits have handed on, by name, each with the batch as its first dimension."""


@dataclass(frozen=True)
class _Part:
    """The segments up to boundary ``stop``, loaded as one."""

    stop: int
    chain: Chain
    run: Run


class Network:
    """Runs any part of a bundle's model.

    Tensors are lists of arrays in the boundary's order, each with the batch as its first
    dimension. What an engine cannot compute with them, such as a word beyond the vocabulary, is an
    `EngineError`. ``backend`` is by default the first that can run the whole bundle here.
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
        engine = choose_backend(bundle, backend)
        held = range(len(manifest.segments)) if segments is None else segments
        self.bundle = bundle
        self.backend = engine.name
        self.depth = len(manifest.segments)
        self._names = [[tensor.name for tensor in b.tensors] for b in manifest.boundaries]
        self._engine, self._threads = engine, threads
        self._held = held
        self._segments = {at: self._part(at, at + 1) for at in held}
        self._exits = {
            at: engine.load(_exit_chain(manifest, at, _folder(bundle, spec, engine)), threads)
            for at, spec in enumerate(manifest.exits)
            if spec.boundary - 1 in held
        }
        self._fused: dict[int, _Part] = {}
        self._narrowing: dict[str, Run] = {}
        self._loading = threading.Lock()
        return_unused_memory()

    @cached_property
    def codecs(self) -> BundleCodecs:
        """The codecs by which the bundle's boundaries are sent."""
        return BundleCodecs.of(self.bundle)

    def encode(
        self, cut: int, level: str, tensors: Sequence[Array], references: References = ()
    ) -> Sent:
        """Return one sample's boundary as it is sent at a level; its tensors have a batch of 1.

        ``references`` are those of an earlier sample of the stream that the receiver has kept.
        """
        codec = self.codecs.at(cut, level)
        values = self.narrow(cut, tensors) if codec.narrow else tensors
        return codec.encode([array[0] for array in values], references)

    def decode(
        self,
        cut: int,
        frames: Sequence[bytes],
        *,
        limit_bytes: int,
        references: References = (),
    ) -> tuple[list[Array], References]:
        """Return the tensors of a boundary that came, with a batch of 1, and what is to be kept.

        Raises `FrameError` unless the frames are of it, and, where they hold changes, from the
        ``references``.
        """
        found = self.codecs.decode(cut, frames, limit_bytes=limit_bytes, references=references)
        tensors = [array[None] for array in found.tensors]
        return (self.widen(cut, tensors) if found.narrow else tensors), found.references

    def narrow(self, cut: int, tensors: Sequence[Array]) -> list[Array]:
        """Return a boundary's tensors as `Boundary.narrow` has them: the encoder's latent in."""
        return self._put_through(cut, "encoder", tensors)

    def widen(self, cut: int, tensors: Sequence[Array]) -> list[Array]:
        """Return a boundary's tensors from those that `narrow` gave: the decoder's tensor in."""
        return self._put_through(cut, "decoder", tensors)

    def can_widen(self, cut: int) -> bool:
        """Whether the decoder of a cut is here: a device does without, and so does an int8 head."""
        folder = self._pair(cut).decoder.folder
        name = self._engine.files(folder)[0]
        return name in self.bundle.manifest.files and (self.bundle.folder / name).is_file()

    def prepare(self, cut: int, level: str, part: Literal["encoder", "decoder"]) -> None:
        """Load what the first sample sent or received at a level would otherwise wait for."""
        codec = self.codecs.at(cut, level)
        codec.prepare()
        if codec.narrow:
            self._bottleneck(cut, part)

    def run_segment(self, at: int, tensors: Sequence[Array]) -> list[Array]:
        """Run segment ``at`` on the tensors of boundary ``at``; return those of the next one."""
        return self._run(self._segment(at), at, tensors)

    def run(self, start: int, stop: int, tensors: Sequence[Array]) -> list[Array]:
        """Run segments ``start`` to ``stop - 1`` on the tensors of boundary ``start``."""
        values = list(tensors)
        while start < stop:
            start, values = self.step(start, stop, values)
        return values

    def step(self, start: int, stop: int, tensors: Sequence[Array]) -> tuple[int, list[Array]]:
        """Run one segment, or those fused from ``start`` on if they do not go beyond ``stop``.

        Returns the boundary that was reached and its tensors.
        """
        part = self._fused.get(start)
        if part is None or part.stop > stop:
            return start + 1, self.run_segment(start, tensors)
        return part.stop, self._run(part, start, tensors)

    def fuse(self, stops: Sequence[int]) -> None:
        """Load the segments between neighbouring ``stops`` as one each.

        A backend may run them faster so than one by one, at the cost of their weights once more in
        memory, until `release`. Those fused before and not now are given up. May be called from
        another thread.
        """
        fused = {}
        for start, stop in itertools.pairwise(stops):
            before = self._fused.get(start)
            if before is not None and before.stop == stop:
                fused[start] = before
            elif stop - start > 1 or start not in self._segments:
                fused[start] = self._part(start, stop)
        self.restore(self.released() - {part.stop - 1 for part in fused.values()})
        self._fused = fused

    def release(self, stops: Sequence[int]) -> bool:
        """Let go of the last segment of each that `fuse` made of ``stops``; tell if one was left.

        No head needs it: one that stops before it does not run it, and one that stops behind it
        runs it fused. A run from between loads it again. Deep segments hold most of the weights.
        """
        fused = (self._fused.get(start) for start in stops)
        lasts = {part.stop - 1 for part in fused if part is not None and part.stop in stops}
        held = lasts & self._segments.keys()
        for at in held:
            del self._segments[at]
        return bool(held)

    def released(self, start: int = 0) -> set[int]:
        """Return the segments from ``start`` on that have been let go."""
        return {at for at in self._held if at >= start and at not in self._segments}

    def restore(self, segments: Iterable[int]) -> None:
        """Load segments again that have been let go. May be called from another thread."""
        for at in segments:
            self._segment(at)

    def exit_logits(self, at: int, tensors: Sequence[Array], codes: Codes | None = None) -> Array:
        """Return the logits, shape (batch, classes), of exit ``at`` on its boundary's tensors.

        ``codes`` are those of the exits that have run on these samples; this one's is added if
        another exit goes on from it. The exits that lead to this one have to have run.
        """
        codes = {} if codes is None else codes
        manifest = self.bundle.manifest
        spec = manifest.exits[at]
        given = [tensors[self._names[spec.boundary].index(spec.tensor)]]
        given += [codes[name] for name in manifest.exit_reads(at)[1:]]
        logits, *made = self._exits[at](given)
        codes.update(zip(manifest.exit_makes(at)[1:], made, strict=True))
        return logits

    def _put_through(
        self, cut: int, part: Literal["encoder", "decoder"], tensors: Sequence[Array]
    ) -> list[Array]:
        """Run an encoder or decoder on its one of a boundary's tensors."""
        run = self._bottleneck(cut, part)
        place, values = self._names[cut].index(self._pair(cut).tensor), list(tensors)
        try:
            (values[place],) = run([values[place]])
        except Exception as error:  # each engine raises its own kinds
            raise EngineError(
                f"{self.backend} cannot run the {part} at cut {cut} on this sample "
                f"({' '.join(str(error).split())[:300]})"
            ) from error
        return values

    def _bottleneck(self, cut: int, part: Literal["encoder", "decoder"]) -> Run:
        """Return a loaded encoder or decoder; a device needs one of them, a server the other."""
        program: ProgramSpec = getattr(self._pair(cut), part)
        with self._loading:
            if program.folder not in self._narrowing:
                link = Link(_folder(self.bundle, program, self._engine), ("given",), ("made",))
                run = self._engine.load(Chain((link,), ("made",)), self._threads)
                self._narrowing[program.folder] = run
            return self._narrowing[program.folder]

    def _pair(self, cut: int) -> BottleneckSpec:
        return self.bundle.manifest.bottlenecks[cut]

    def _segment(self, at: int) -> _Part:
        """Return a segment, loaded again if it was let go."""
        part = self._segments.get(at)
        if part is None:
            with self._loading:
                part = self._segments.get(at) or self._part(at, at + 1)
                self._segments[at] = part
        return part

    def _run(self, part: _Part, start: int, tensors: Sequence[Array]) -> list[Array]:
        values = dict(zip(self._names[start], tensors, strict=True))
        try:
            made = part.run([values[name] for name in part.chain.reads])
        except Exception as error:  # each engine raises its own kinds
            raise EngineError(
                f"{self.backend} cannot run segments {start} to {part.stop - 1} on this sample "
                f"({' '.join(str(error).split())[:300]})"
            ) from error
        values.update(zip(part.chain.makes, made, strict=True))
        return [values[name] for name in self._names[part.stop]]

    def _part(self, start: int, stop: int) -> _Part:
        segments = self.bundle.manifest.segments[start:stop]
        links = [
            Link(_folder(self.bundle, spec, self._engine), spec.reads, spec.makes)
            for spec in segments
        ]
        behind = self._names[stop]
        makes = tuple(name for link in links for name in link.makes if name in behind)
        chain = Chain(tuple(links), makes)
        return _Part(stop, chain, self._engine.load(chain, self._threads))


def choose_backend(bundle: Bundle, name: str | None = None) -> Backend:
    """Return a backend by name, or else the first that can run the whole bundle here."""
    if name is not None:
        return backends.get(name)
    made_for = engines_of(bundle.manifest)
    here = bundle.backends
    able = [one for one in here or backends.installed() if one.name in made_for] or here
    if not able:
        raise BundleError(
            f"no backend that is installed here can run bundle {bundle.digest[:12]}, which is "
            f"made for {', '.join(made_for) or 'none that this release knows'}; install one of them"
        )
    return able[0]


def _exit_chain(manifest: Manifest, at: int, folder: Path) -> Chain:
    makes = manifest.exit_makes(at)
    return Chain((Link(folder, manifest.exit_reads(at), makes),), makes)


def _folder(bundle: Bundle, program: ProgramSpec, backend: Backend) -> Path:
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
