"""Targets: the codecs. What a frame holds, and what an attacker signs, for every one of them.

An input says which codec and which case: the frame itself, with the reference that it needs or
another one, where it must be refused unless not a bit is altered; or a payload, which is signed as
an attacker would before it is read. Only the latter may decode to another sample. Else it is signed
for another tensor, and must be refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzzing.target import Attack, Target, WrongError
from offramp import codecs
from offramp.codecs import Codec, Reference
from offramp.codecs.coded import CodedCodec
from offramp.codecs.context_coder import LARGEST
from offramp.codecs.effect import square_error
from offramp.errors import FrameError
from offramp.frame import Frame, pack, pack_short
from offramp.tensors import Array, TensorSpec

__all__ = ["Subject", "attack_on", "every_subject", "targets"]

LIMIT_BYTES = 1 << 20
FRAME, ELSE, SIGNED, LYING = range(4)
_SEED = 5
_LIES = (
    TensorSpec("x", "float32", (7, 5, 3)),
    TensorSpec("x", "float16", (3, 5, 7)),
    TensorSpec("x", "float32", (1 << 28,)),
    TensorSpec("x", "uint8", (12, 9)),
    TensorSpec("x", "int64", ()),
    TensorSpec("x", "float32", (3, 5, 7, 1)),
)


@dataclass(frozen=True)
class Subject:
    """A codec, calibrated where it has to be, and samples with the frames that hold them.

    With a ``reference`` the frames hold changes from it.
    """

    codec: Codec
    spec: TensorSpec
    frames: tuple[bytes, ...]
    payloads: tuple[bytes, ...]
    decoded: tuple[Array, ...]
    reference: Reference | None = None

    @property
    def name(self) -> str:
        """The codec's, and whether its changes are attacked."""
        return self.codec.name + (" changes" if self.reference else "")

    @property
    def kind(self) -> str:
        """The name under which codecs of one class are attacked together."""
        return _kind(self.codec, changes=self.reference is not None)

    def signed(self, payload: bytes, spec: TensorSpec) -> bytes:
        """Return a whole frame with a right checksum, whatever its payload."""
        codec = self.codec
        if not codec.calibrated:
            return pack(Frame(codec.id, spec.dtype, spec.shape, payload))
        seed = zlib.crc32(f"{spec.dtype} {spec.shape}".encode(), codec.fingerprint)
        if self.reference:
            seed = zlib.crc32(self.reference.codes.tobytes(), seed)
        return pack_short(codec.id, payload, seed, is_change=self.reference is not None)


@cache
def every_subject() -> tuple[Subject, ...]:
    """Return a subject for each codec, and one for the changes of each that has some.

    These are of features, or of pictures where a codec carries no features.
    """
    rng = np.random.default_rng(_SEED)
    features = np.maximum(rng.normal(size=(32, 3, 5, 7)), 0).astype("float32")
    rows = np.indices((12, 10)).sum(axis=0)[..., None] * [3, 5, 7]
    pictures = np.stack([rows + shade for shade in range(8)]).astype("uint8")
    every = (features, features[:, 0], pictures)
    each = [codecs.get(name) for name in codecs.names()]
    changes = [_changes_of(one) for one in each if isinstance(one, CodedCodec)]
    return (*(_subject_of(one, _carried(one, every)) for one in each), *changes)


def targets() -> tuple[Target, ...]:
    """Return a target for each kind of codec, and for each kind's changes."""
    readers = ("offramp.frame", "offramp.codecs")
    each = [codecs.get(name) for name in codecs.names()]
    kinds = dict.fromkeys(_kind(one, changes=False) for one in each)
    changes = dict.fromkeys(_kind(one, changes=True) for one in each if isinstance(one, CodedCodec))
    return tuple(
        Target(kind, readers, partial(_build, kind), weight=50) for kind in (*kinds, *changes)
    )


def attack_on(subjects: Sequence[Subject], others: Sequence[Subject] = ()) -> Attack:
    """Return an attack on some codecs, whose reader knows those of ``others`` too."""
    seeds = [
        bytes((at, case, number)) + data
        for at, subject in enumerate(subjects)
        for case, each in ((FRAME, subject.frames), (SIGNED, subject.payloads))
        for number, data in enumerate(each)
    ]
    for at, subject in enumerate(subjects):
        seeds += [
            bytes((at, ELSE, 0)) + subject.frames[0],
            bytes((at, LYING, 0)) + subject.payloads[0],
        ]
    every = (*others, *subjects)
    known = {one.codec.id: one.codec for one in every if one.codec.calibrated}
    pairs = (zip(one.frames, one.decoded, strict=True) for one in every)
    written = {frame: sample for each in pairs for frame, sample in each}

    def read(data: bytes) -> None:
        if len(data) < 3:
            raise FrameError("the input says no case")
        at, case, number = data[0] % len(subjects), data[1] % 4, data[2]
        _TRY[case](_Trial(subjects[at], known, written, number), data[3:])

    return Attack(tuple(seeds), read)


@dataclass(frozen=True)
class _Trial:
    subject: Subject
    known: Mapping[int, Codec]
    written: Mapping[bytes, Array]
    number: int

    def decode(self, frame: bytes, reference: Reference | None) -> Array:
        """Decode a frame; raise `WrongError` if what comes is none of the tensor."""
        subject = self.subject
        codec = {subject.codec.id: subject.codec} if subject.codec.calibrated else {}
        found, kept = codecs.decode_next(
            frame,
            subject.spec,
            limit_bytes=LIMIT_BYTES,
            calibrated={**self.known, **codec},
            reference=reference,
        )
        if (found.dtype, found.shape) != (subject.spec.dtype, subject.spec.shape):
            raise WrongError(f"{subject.name}: {found.dtype} of shape {found.shape}")
        if kept and np.abs(kept.codes.astype(int)).max() > LARGEST:
            raise WrongError(f"{subject.name}: codes out of range")
        return found


def _frame(trial: _Trial, body: bytes) -> None:
    """Read a frame, which must be one of those that were written."""
    found = trial.decode(body, trial.subject.reference)
    expected = trial.written.get(body)
    if expected is None or found.tobytes() != expected.tobytes():
        raise WrongError(f"{trial.subject.name}: silently another tensor")


def _with_another(trial: _Trial, body: bytes) -> None:
    """Read a frame with another reference than it needs, or with none."""
    reference, number = trial.subject.reference, trial.number
    if reference is None:
        return _frame(trial, body)
    another: Reference | None = None
    if number % 3 == 1:
        another = replace(reference, codec_id=reference.codec_id ^ 1)
    elif number % 3 == 2:
        codes = reference.codes.copy()
        codes[number % len(codes)] += 1
        another = replace(reference, codes=codes)
    trial.decode(body, another)
    raise WrongError(f"{trial.subject.name}: a change from another sample was read")


def _signed(trial: _Trial, body: bytes) -> None:
    """Read a payload as an attacker signs it; any sample may come."""
    frame = trial.subject.signed(body, trial.subject.spec)
    trial.decode(frame, trial.subject.reference)


def _lying(trial: _Trial, body: bytes) -> None:
    """Read a payload that is signed for another tensor."""
    frame = trial.subject.signed(body, _LIES[trial.number % len(_LIES)])
    trial.decode(frame, trial.subject.reference)
    raise WrongError(f"{trial.subject.name}: a frame of another tensor was read")


_TRY: Mapping[int, Callable[[_Trial, bytes], None]] = {
    FRAME: _frame,
    ELSE: _with_another,
    SIGNED: _signed,
    LYING: _lying,
}


def _build(kind: str, folder: Path) -> Attack:
    subjects = every_subject()
    return attack_on([one for one in subjects if one.kind == kind], subjects)


def _kind(codec: Codec, *, changes: bool) -> str:
    return type(codec).__name__.lower() + (" changes" if changes else "") + " frames"


def _subject_of(codec: Codec, samples: Array) -> Subject:
    if codec.calibrated:
        codec = codec.fit(samples, square_error(samples))
    spec = TensorSpec("x", samples.dtype.name, samples.shape[1:])
    payloads = tuple(codec.encode(sample) for sample in samples[:8])
    frames = tuple(codecs.encode(codec, sample) for sample in samples[:8])
    return Subject(
        codec, spec, frames, payloads, tuple(codec.decode(one, spec) for one in payloads)
    )


def _changes_of(codec: CodedCodec[Any]) -> Subject:
    """Return what is needed to attack a codec's changes, of samples of which many places change."""
    rng = np.random.default_rng(_SEED)
    samples = [rng.normal(size=(3, 5, 7))]
    for _ in range(40):
        samples.append(
            np.where(rng.random((3, 5, 7)) < 0.3, rng.normal(size=(3, 5, 7)), samples[-1])
        )
    features = np.array(samples, "float32")
    codec = codec.fit(features, square_error(features))
    spec = TensorSpec("x", "float32", (3, 5, 7))
    _, reference = codecs.encode_next(codec, features[0], None)
    assert reference is not None
    learnt = codec.learnt
    codes = [learnt.codes(learnt.planes.view(sample)) for sample in features[1:9]]
    changes = [learnt.write_change(one, reference.codes) for one in codes]
    decoded = tuple(codec.decode_next(one, spec, reference.codes)[0] for one in changes)
    empty = Subject(codec, spec, (), tuple(changes), decoded, reference)
    return replace(empty, frames=tuple(empty.signed(one, spec) for one in changes))


def _carried(codec: Codec, every: Sequence[Array]) -> Array:
    """Return the first samples that a codec carries."""
    specs = (TensorSpec("x", one.dtype.name, one.shape[1:]) for one in every)
    return next(one for one, spec in zip(every, specs, strict=True) if codec.supports(spec))
