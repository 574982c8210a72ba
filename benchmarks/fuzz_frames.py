"""Frames of every codec, altered and made up: all are refused, or decode to what was sent.

A case is a frame whose bytes were altered, bytes that only begin like a frame, a frame that is
whole but states another tensor, or a payload that was altered before the checksum was made, as an
attacker would. Only the last may decode to another sample. Nothing but `FrameError` may come out,
in little time and memory. Frames of changes are attacked with the reference that they need, now
and then with another or none.
"""

from __future__ import annotations

import faulthandler
import resource
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.harness import finish, parse, tabulate
from offramp import codecs
from offramp.codecs import Codec, Reference
from offramp.codecs.coded import CodedCodec
from offramp.codecs.context_coder import LARGEST
from offramp.codecs.effect import square_error
from offramp.errors import FrameError
from offramp.frame import Frame, pack, pack_short
from offramp.tensors import Array, TensorSpec

CASES, QUICK_CASES = 210_000, 6_300  # of all codecs together
LONGEST_S = 0.5  # of the processor, for one case
MOST_GROWTH_BYTES = 64 << 20
LIMIT_BYTES = 1 << 20
HANG_S = 300.0
SEED = 5

LIES = (
    TensorSpec("x", "float32", (7, 5, 3)),
    TensorSpec("x", "float16", (3, 5, 7)),
    TensorSpec("x", "float32", (1 << 28,)),
    TensorSpec("x", "uint8", (12, 10)),
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

    def framed(self, payload: bytes, spec: TensorSpec) -> bytes:
        """Return a whole frame with a right checksum, whatever its payload."""
        codec = self.codec
        if not codec.calibrated:
            return pack(Frame(codec.id, spec.dtype, spec.shape, payload))
        seed = zlib.crc32(f"{spec.dtype} {spec.shape}".encode(), codec.fingerprint)
        if self.reference:
            seed = zlib.crc32(self.reference.codes.tobytes(), seed)
        return pack_short(codec.id, payload, seed, is_change=self.reference is not None)


@dataclass
class Tally:
    """What became of a codec's cases; ``wrong`` says what must not have happened."""

    cases: int = 0
    refused: int = 0
    unchanged: int = 0
    forged: int = 0
    longest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


def subject_of(codec: Codec, samples: Array) -> Subject:
    """Return what is needed to attack a codec that carries ``samples``."""
    if codec.calibrated:
        codec = codec.fit(samples, square_error(samples))
    spec = TensorSpec("x", samples.dtype.name, samples.shape[1:])
    payloads = tuple(codec.encode(sample) for sample in samples[:8])
    frames = tuple(codecs.encode(codec, sample) for sample in samples[:8])
    return Subject(
        codec, spec, frames, payloads, tuple(codec.decode(one, spec) for one in payloads)
    )


def changes_of(codec: CodedCodec[Any]) -> Subject:
    """Return what is needed to attack a codec's changes, of samples of which many places change."""
    rng = np.random.default_rng(SEED)
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
    return replace(empty, frames=tuple(empty.framed(one, spec) for one in changes))


def every_subject() -> list[Subject]:
    """Return a subject for each codec, and one for the changes of each that has some.

    These are of features, or of pictures where a codec carries no features.
    """
    rng = np.random.default_rng(SEED)
    features = np.maximum(rng.normal(size=(32, 3, 5, 7)), 0).astype("float32")
    rows = np.indices((12, 10)).sum(axis=0)[..., None] * [3, 5, 7]
    pictures = np.stack([rows + shade for shade in range(8)]).astype("uint8")
    every = (features, features[:, 0], pictures)
    each = [codecs.get(name) for name in codecs.names()]
    changes = [changes_of(one) for one in each if isinstance(one, CodedCodec)]
    return [subject_of(one, _carried(one, every)) for one in each] + changes


def _carried(codec: Codec, every: Sequence[Array]) -> Array:
    """Return the first samples that a codec carries."""
    specs = (TensorSpec("x", one.dtype.name, one.shape[1:]) for one in every)
    return next(one for one, spec in zip(every, specs, strict=True) if codec.supports(spec))


def altered(valid: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with bits flipped, parts cut off, repeated, moved or overwritten."""
    data = bytearray(valid)
    for _ in range(rng.integers(1, 4)):
        place, other = (int(at) for at in rng.integers(0, len(data) + 1, 2))
        noise = rng.bytes(int(rng.integers(1, 9)))
        match int(rng.integers(6)):
            case 0 if data:
                data[place % len(data)] ^= 1 << int(rng.integers(8))
            case 1:
                del data[place:]
            case 2:
                data[place:place] = data[other : other + 40]
            case 3:
                data[place:place] = noise
            case 4:
                data[place : place + len(noise)] = noise
            case _:
                del data[min(place, other) : max(place, other)]
    return bytes(data)


def draw(subject: Subject, rng: np.random.Generator) -> tuple[bytes, Array | None, bool]:
    """Return a case: bytes, the only sample that they may decode to, and if any sample will do."""
    at = int(rng.integers(len(subject.frames)))
    valid, payload = subject.frames[at], subject.payloads[at]
    match int(rng.integers(10)):
        case 0 | 1:
            noise = rng.bytes(int(rng.integers(0, 200)))
            return valid[: int(rng.integers(0, 14))] + noise, subject.decoded[at], False
        case 2:
            lie = LIES[int(rng.integers(len(LIES)))]
            return subject.framed(payload, lie), None, False
        case 3 | 4:
            return subject.framed(altered(payload, rng), subject.spec), None, True
        case _:
            return altered(valid, rng), subject.decoded[at], False


def _another(reference: Reference | None, rng: np.random.Generator) -> Reference | None:
    """Return a reference that is none, of another codec, or of another sample."""
    if reference is None or rng.integers(3) == 0:
        return None
    if rng.integers(2):
        return replace(reference, codec_id=reference.codec_id ^ 1)
    codes = reference.codes.copy()
    codes[int(rng.integers(len(codes)))] += 1
    return replace(reference, codes=codes)


def of_subject(subject: Subject) -> dict[int, Codec]:
    """Return the subject's codec by its id, if it is calibrated."""
    return {subject.codec.id: subject.codec} if subject.codec.calibrated else {}


def fuzz(
    subject: Subject, known: Mapping[int, Codec], cases: int, rng: np.random.Generator
) -> Tally:
    """Try cases on a codec; ``known`` are all others that are calibrated for the tensor."""
    tally, known = Tally(), {**known, **of_subject(subject)}
    for _ in range(cases):
        data, expected, forged = draw(subject, rng)
        began, found = time.thread_time(), None
        try:
            wrong = rng.integers(8) == 0 and not forged
            found, kept = codecs.decode_next(
                data,
                subject.spec,
                limit_bytes=LIMIT_BYTES,
                calibrated=known,
                reference=_another(subject.reference, rng) if wrong else subject.reference,
            )
            if kept and np.abs(kept.codes.astype(int)).max() > LARGEST:
                tally.wrong.append(f"codes out of range, from {data.hex()}")
        except FrameError:
            tally.refused += 1
        except Exception as error:  # whatever it is, it is what is looked for
            tally.wrong.append(f"{type(error).__name__}: {error}, from {data.hex()}")
        took_s = time.thread_time() - began
        tally.cases += 1
        tally.longest_s = max(tally.longest_s, took_s)
        if took_s > LONGEST_S:
            tally.wrong.append(f"took {took_s:.3g} s: {data.hex()}")
        if found is None:
            continue
        if (found.dtype, found.shape) != (subject.spec.dtype, subject.spec.shape):
            tally.wrong.append(f"{found.dtype} of shape {found.shape}, from {data.hex()}")
        elif forged:
            tally.forged += 1
        elif expected is not None and found.tobytes() == expected.tobytes():
            tally.unchanged += 1
        else:
            tally.wrong.append(f"silently another tensor, from {data.hex()}")
    return tally


def peak_bytes() -> int:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    options = parse("fuzz_frames", __doc__)
    faulthandler.enable()
    rng, subjects = np.random.default_rng(SEED), every_subject()
    known = {i: one for subject in subjects for i, one in of_subject(subject).items()}
    cases = (QUICK_CASES if options.quick else CASES) // len(subjects)
    for subject in subjects:
        fuzz(subject, known, 50, rng)  # until everything is loaded and compiled
    before, found = peak_bytes(), {}
    for subject in subjects:
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        found[subject.name] = fuzz(subject, known, cases, rng)
    faulthandler.cancel_dump_traceback_later()
    growth_bytes = peak_bytes() - before
    tabulate(
        "cases by codec",
        ["codec", "cases", "refused", "unchanged", "forged, decoded", "longest ms", "wrong"],
        [
            (
                *(name, one.cases, one.refused, one.unchanged, one.forged),
                *(f"{one.longest_s * 1e3:.2f}", len(one.wrong)),
            )
            for name, one in found.items()
        ],
    )
    wrong = [f"{name}: {line}" for name, one in found.items() for line in one.wrong]
    if growth_bytes > MOST_GROWTH_BYTES:
        wrong.append(f"memory grew by {growth_bytes} bytes")
    print("\n".join(wrong[:20]))
    longest_s = max(one.longest_s for one in found.values())
    finish(
        "fuzz_frames",
        f"{sum(one.cases for one in found.values())} cases, {len(wrong)} wrong; longest "
        f"{longest_s * 1e3:.2f} ms (required at most {LONGEST_S * 1e3:g}), memory grew by "
        f"{growth_bytes / 2**20:.1f} MiB (at most {MOST_GROWTH_BYTES >> 20})",
        {
            "codecs": {name: asdict(one) for name, one in found.items()},
            "growth_bytes": growth_bytes,
            "wrong": len(wrong),
        },
        options,
    )
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
