"""Cargo: the tensors of a sample under way, of which the dispatch knows nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from device.head import Head, Progress
from device.latest import Kept
from device.sources import Sample
from device.work import Finish, Work
from offramp.boundary_codec import decode_boundary
from offramp.bundle import Bundle
from offramp.exits.ensemble import combine
from offramp.exits.evidence import as_logits
from offramp.messages import Answer, Request, Timeline
from offramp.tensors import Array

__all__ = ["Cargo", "Output"]


@dataclass(frozen=True)
class Output:
    """What answers a sample: a tensor, or logits to be divided by the ``temperature``.

    ``by`` and ``ensemble`` are those of a `Result`.
    """

    tensor: Array
    temperature: float
    by: str
    ensemble: str = ""


@dataclass(eq=False)
class Cargo:
    """A sample with its progress, and the ``served`` logits once the server has answered.

    ``head`` is the one that has begun it; with that one's bundle it is ended.
    """

    sample: Sample
    progress: Progress
    head: Head | None = None
    served: Array | None = None
    timeline: Timeline = field(default_factory=Timeline)

    @classmethod
    def of(cls, sample: Sample) -> Cargo:
        """Return the cargo of a sample that nothing has been done with."""
        arrays = [np.ascontiguousarray(array)[None] for array in sample.inputs]
        return cls(sample, Progress(arrays))

    @property
    def bundle(self) -> Bundle:
        """The bundle under which the sample was begun."""
        assert self.head is not None
        return self.head.network.bundle

    def pack(self, work: Work, now_s: float) -> Request:
        """Return the request that carries the encoded boundary."""
        assert work.plan is not None
        assert self.progress.sent is not None
        return Request(
            id=work.id,
            digest=self.bundle.digest,
            cut=work.plan.cut,
            frames=self.progress.sent.frames,
            timeout_s=max(work.deadline_s - now_s, 1e-3),
            plan_id=work.plan.id,
            reference=self.progress.reference,
        )

    def unpack(self, answer: Answer) -> None:
        """Take in the server's outputs; raise `FrameError` unless they are the model's."""
        boundary = self.bundle.manifest.boundaries[-1]
        limit_bytes = boundary.nbytes
        outputs = decode_boundary(answer.outputs, boundary.tensors, limit_bytes=limit_bytes)
        self.served, self.timeline = outputs[0], answer.timeline
        if answer.kept and self.head and self.progress.sent:
            progress, references = self.progress, self.progress.sent.references
            kept = Kept(answer.id, progress.number, progress.sent_at, references)
            self.head.latest.keep(kept)

    def output(self, finish: Finish) -> Output:
        """Return what answers the sample; the end together with an exit where they are better."""
        progress, manifest = self.progress, self.bundle.manifest
        if finish.by == "device" and progress.left is not None:
            spec = manifest.exits[progress.left]
            return Output(progress.logits[progress.left][0], spec.temperature, f"exit {spec.name}")
        final, plan = self.served if finish.by == "server" else self._final, finish.work.plan
        assert final is not None
        assert plan is not None
        at, ensemble = manifest.ensemble_at(plan.cut) or (None, None)
        if ensemble is not None and at in progress.logits:
            theirs = progress.logits[at][0]
            if theirs.shape == final.shape:  # a bundle may hold an exit that it was not made with
                both = combine(ensemble, as_logits(theirs), as_logits(final))
                if np.isfinite(both).all():
                    return Output(both, 1.0, finish.by, f"exit {manifest.exits[at].name}")
        return Output(final, manifest.temperature, finish.by)

    def teach(self) -> None:
        """Tell the head what the end answered, if it is known."""
        if self._final is not None and self.head is not None:
            self.head.learn(self.progress, self._final)

    @property
    def _final(self) -> Array | None:
        """The end's output, of this device or else of the server; None if neither is known."""
        return self.served if self.progress.final is None else self.progress.final[0]
