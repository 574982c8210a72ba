"""Cargo: the tensors of a sample under way, of which the dispatch knows nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from device.head import Head, Progress
from device.sources import Sample
from device.work import Work
from offramp.boundary_codec import decode_boundary
from offramp.bundle import Bundle
from offramp.messages import Answer, Request, Timeline
from offramp.tensors import Array

__all__ = ["Cargo"]


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
        return Request(
            id=work.id,
            digest=self.bundle.digest,
            cut=work.plan.cut,
            frames=self.progress.frames,
            timeout_s=max(work.deadline_s - now_s, 1e-3),
            plan_id=work.plan.id,
        )

    def unpack(self, answer: Answer) -> None:
        """Take in the server's outputs; raise `FrameError` unless they are the model's."""
        boundary = self.bundle.manifest.boundaries[-1]
        limit_bytes = boundary.nbytes
        outputs = decode_boundary(answer.outputs, boundary.tensors, limit_bytes=limit_bytes)
        self.served, self.timeline = outputs[0], answer.timeline

    def teach(self) -> None:
        """Tell the head what the end answered, if it is known."""
        final = self.progress.final[0] if self.progress.final is not None else self.served
        if final is not None and self.head is not None:
            self.head.learn(self.progress, final)
