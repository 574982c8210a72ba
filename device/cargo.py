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
from offramp.errors import FrameError
from offramp.exits.ensemble import combine
from offramp.exits.evidence import as_logits
from offramp.messages import Answer, Request, Timeline
from offramp.tensors import Array

__all__ = ["Cargo", "Output"]


@dataclass(frozen=True)
class Output:
    """What answers a sample: a tensor, or logits to be divided by the ``temperature``.

    ``by``, ``ensemble`` and ``later`` are those of a `Result`.
    """

    tensor: Array
    temperature: float
    by: str
    ensemble: str = ""
    later: str = ""


@dataclass(eq=False)
class Cargo:
    """A sample with its progress, and the ``served`` logits once a ``server`` has answered.

    They are those of the exit ``served_at`` behind the cut, None for the end.
    ``head`` is the one that has begun it; with that one's bundle it is ended.
    """

    sample: Sample
    progress: Progress
    head: Head | None = None
    served: Array | None = None
    served_at: int | None = None
    server: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    trace: bytes = b""

    @classmethod
    def of(cls, sample: Sample, trace: bytes = b"") -> Cargo:
        """Return the cargo of a sample that nothing has been done with."""
        arrays = [np.ascontiguousarray(array)[None] for array in sample.inputs]
        return cls(sample, Progress(arrays), trace=trace)

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
            trace=self.trace,
        )

    @property
    def awaits_answer(self) -> bool:
        """Whether it was sent, and no outputs have come yet."""
        return self.progress.sent is not None and self.served is None

    def unpack(self, answer: Answer, server: str) -> None:
        """Take in the server's outputs.

        Raises `FrameError` unless they are the model's, or of an exit that may answer for it.
        """
        manifest, progress = self.bundle.manifest, self.progress
        boundary = manifest.boundaries[-1]
        limit_bytes = boundary.nbytes
        later = manifest.later_at(progress.sent_at, progress.level)
        if answer.exit is not None and answer.exit not in later:
            raise FrameError(
                f"it is of exit number {answer.exit}, which answers nothing that is sent at cut "
                f"{progress.sent_at} and level {progress.level!r}"
            )
        outputs = decode_boundary(answer.outputs, boundary.tensors, limit_bytes=limit_bytes)
        if not np.isfinite(outputs[0]).all():
            raise FrameError("its outputs hold NaN or infinity")
        self.served_at, self.timeline = answer.exit, answer.timeline
        self.server = server
        self.served = outputs[0]  # last: other threads look for it
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
        if finish.by == "server" and self.served_at is not None:
            spec = manifest.exits[self.served_at]
            return Output(final, spec.temperature, finish.by, later=f"exit {spec.name}")
        at, ensemble = manifest.ensemble_at(plan.cut) or (None, None)
        if ensemble is not None and at in progress.logits:
            theirs = progress.logits[at][0]
            if theirs.shape == final.shape:  # a bundle may hold an exit that it was not made with
                both = combine(ensemble, as_logits(theirs), as_logits(final))
                if np.isfinite(both).all():
                    return Output(both, 1.0, finish.by, f"exit {manifest.exits[at].name}")
        return Output(final, manifest.temperature, finish.by)

    def teach(self) -> None:
        """Tell the head what the end answered, if it is known.

        An exit behind the cut stands for it: it answers wrongly where the end is right on few
        samples, and to leave these out would leave out those of which exits are sure.
        """
        if self._final is not None and self.head is not None:
            self.head.learn(self.progress, self._final)

    @property
    def _final(self) -> Array | None:
        """What ended the sample on this device, or else on the server; None if neither has."""
        return self.served if self.progress.final is None else self.progress.final[0]
