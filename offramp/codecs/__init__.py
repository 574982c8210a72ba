"""The codecs by which tensors cross the wire, and the registry that names them.

docs/wire-format.md specifies every payload; docs/adding-a-codec.md says how to add one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from offramp import frame
from offramp.choices import choose
from offramp.codecs.affine import Affine
from offramp.codecs.channel import Channel
from offramp.codecs.coarse import Coarse
from offramp.codecs.codec import Codec
from offramp.codecs.coded import CodedCodec
from offramp.codecs.context import Context
from offramp.codecs.fp16 import Fp16
from offramp.codecs.half import Half
from offramp.codecs.jpeg import Jpeg
from offramp.codecs.latent import Latent
from offramp.codecs.lossless import Lossless
from offramp.codecs.png import Png
from offramp.codecs.raw import Raw
from offramp.codecs.reference import Reference
from offramp.codecs.tokens import Tokens
from offramp.codecs.webp import WebP
from offramp.errors import ConfigError, FrameError, InputError, MissingReferenceError
from offramp.tensors import DTYPES, Array, TensorSpec

__all__ = [
    "Codec",
    "CodedCodec",
    "Reference",
    "by_id",
    "decode",
    "decode_next",
    "encode",
    "encode_next",
    "get",
    "names",
    "supporting",
]

# An id that went out is never given to another codec; a codec that is withdrawn leaves a gap.
# Ids are below 128, since short frames use the highest bit.
_CODECS: tuple[Codec, ...] = (
    Raw("raw", 1, lossless=True),
    Lossless("lossless", 2, lossless=True),
    Fp16("fp16", 3, lossless=False),
    Affine("affine8", 24, lossless=False, bits=8),
    Affine("affine6", 22, lossless=False, bits=6),
    Affine("affine4", 20, lossless=False, bits=4),
    Affine("affine3", 19, lossless=False, bits=3),
    Affine("affine2", 18, lossless=False, bits=2),
    Png("png", 32, lossless=True),
    WebP("webp_lossless", 33, lossless=True),
    WebP("webp90", 34, lossless=False, quality=90),
    WebP("webp75", 35, lossless=False, quality=75),
    WebP("webp50", 36, lossless=False, quality=50),
    Jpeg("jpeg90", 37, lossless=False, quality=90),
    Jpeg("jpeg75", 38, lossless=False, quality=75),
    Half("half_webp90", 40, lossless=False, file=WebP("webp90", 34, lossless=False, quality=90)),
    Half("half_webp75", 41, lossless=False, file=WebP("webp75", 35, lossless=False, quality=75)),
    Half("half_png", 42, lossless=False, file=Png("png", 32, lossless=True)),
    Channel("channel8", 58, lossless=False, bits=8),
    Channel("channel6", 56, lossless=False, bits=6),
    Channel("channel4", 54, lossless=False, bits=4),
    Channel("channel3", 53, lossless=False, bits=3),
    Channel("channel2", 52, lossless=False, bits=2),
    Context("context2", 64, lossless=False, change=0.002),
    Context("context5", 65, lossless=False, change=0.005),
    Context("context10", 66, lossless=False, change=0.01),
    Context("context20", 67, lossless=False, change=0.02),
    Context("context50", 68, lossless=False, change=0.05),
    Context("context100", 69, lossless=False, change=0.1),
    Coarse("coarse8", 88, lossless=False, count=8),
    Coarse("coarse6", 86, lossless=False, count=6),
    Coarse("coarse4", 84, lossless=False, count=4),
    Coarse("coarse3", 83, lossless=False, count=3),
    Coarse("coarse2", 82, lossless=False, count=2),
    Latent("learned1", 96, lossless=False, step=1.0),
    Latent("learned2", 97, lossless=False, step=2**0.5),
    Latent("learned3", 98, lossless=False, step=2.0),
    Latent("learned4", 99, lossless=False, step=2**1.5),
    Latent("learned5", 100, lossless=False, step=4.0),
    Tokens("tokens10", 112, lossless=False, change=0.01),
    Tokens("tokens20", 113, lossless=False, change=0.02),
    Tokens("tokens50", 114, lossless=False, change=0.05),
)
_DTYPE_NAMES = {np.dtype(dtype): dtype for dtype in DTYPES}  # `dtype.name` takes 3 microseconds
_NONE: Mapping[int, Codec] = MappingProxyType({})
_BY_NAME = {codec.name: codec for codec in _CODECS}
_BY_ID = {codec.id: codec for codec in _CODECS}


def names() -> list[str]:
    """Return the name of every codec."""
    return list(_BY_NAME)


def get(name: str) -> Codec:
    """Return the codec of a name, uncalibrated; raise `ConfigError` if it is unknown."""
    return choose("codec", name, _BY_NAME)


def by_id(codec_id: int) -> Codec:
    """Return the codec of an id that a frame states."""
    if codec_id not in _BY_ID:
        raise FrameError(f"frame has an unknown codec: id {codec_id}")
    return _BY_ID[codec_id]


def supporting(spec: TensorSpec) -> list[Codec]:
    """Return the codecs that can carry a tensor."""
    return [codec for codec in _CODECS if codec.supports(spec)]


def encode(codec: Codec, sample: Array) -> bytes:
    """Return one sample as a frame; raise `InputError` if the codec cannot carry it."""
    spec = _spec_of(codec, sample)
    payload = codec.encode(sample)
    if codec.calibrated:
        return frame.pack_short(codec.id, payload, _seed(codec, spec))
    return frame.pack(frame.Frame(codec.id, spec.dtype, sample.shape, payload))


def encode_next(
    codec: Codec, sample: Array, reference: Reference | None
) -> tuple[bytes, Reference | None]:
    """Return a sample of a stream as a frame, and what a later one can refer to, if anything.

    It goes as the change from the ``reference`` if that is shorter and of the same codec.
    """
    if not (isinstance(codec, CodedCodec) and codec.writes_changes):
        return encode(codec, sample), None
    spec = _spec_of(codec, sample)
    before = reference if reference and reference.codec_id == codec.id else None
    payload, is_change, kept = codec.encode_next(sample, before)
    seed = _seed(codec, spec)
    if before and is_change:
        seed = zlib.crc32(before.codes.tobytes(), seed)
    return frame.pack_short(codec.id, payload, seed, is_change=is_change), kept


def decode(
    data: bytes | memoryview,
    spec: TensorSpec,
    *,
    limit_bytes: int,
    calibrated: Mapping[int, Codec] = _NONE,
) -> Array:
    """Return the sample that a frame holds by itself; see `decode_next`."""
    return decode_next(data, spec, limit_bytes=limit_bytes, calibrated=calibrated)[0]


def decode_next(
    data: bytes | memoryview,
    spec: TensorSpec,
    *,
    limit_bytes: int,
    calibrated: Mapping[int, Codec] = _NONE,
    reference: Reference | None = None,
) -> tuple[Array, Reference | None]:
    """Return the sample that a frame holds, and what a later one can refer to, if anything.

    ``limit_bytes`` is the most that the sample may take, whatever ``spec`` says. ``calibrated`` are
    codecs with parameters, by id: those whose frames need these. Raises `FrameError` for a frame
    that holds no sample of ``spec``, and `MissingReferenceError` if it needs another ``reference``.
    """
    if frame.is_short(data):
        return _decode_short(data, spec, limit_bytes, calibrated, reference)
    found = frame.unpack(data, limit_bytes=limit_bytes)
    if (found.dtype, found.shape) != (spec.dtype, spec.shape):
        raise FrameError(
            f"frame holds {found.dtype} of shape {found.shape}, but tensor {spec.name!r} "
            f"is {spec.dtype} of shape {spec.shape}"
        )
    codec = by_id(found.codec_id)
    if codec.calibrated:
        raise FrameError(f"frame of codec {codec.name!r} is not a short one")
    _check_support(codec, spec)
    return _checked(codec, codec.decode(memoryview(found.payload), spec), spec), None


def _decode_short(
    data: bytes | memoryview,
    spec: TensorSpec,
    limit_bytes: int,
    calibrated: Mapping[int, Codec],
    reference: Reference | None,
) -> tuple[Array, Reference | None]:
    stated = frame.short_id(data)
    codec = calibrated.get(stated)
    if codec is None or not codec.calibrated:
        raise FrameError(
            f"frame has codec {stated}, which is not calibrated for tensor {spec.name!r} here; "
            "both ends need the same bundle"
        )
    if spec.nbytes > limit_bytes:
        raise FrameError(
            f"frame is over the limit: tensor {spec.name!r} takes {spec.nbytes} bytes, more than "
            f"{limit_bytes}"
        )
    seed, before = _seed(codec, spec), None
    if frame.is_change(data):
        before = _before(codec, reference)
        seed = zlib.crc32(before.tobytes(), seed)
    payload = frame.unpack_short(data, seed)
    _check_support(codec, spec)
    if isinstance(codec, CodedCodec) and codec.writes_changes:
        sample, codes = codec.decode_next(payload, spec, before)
        return _checked(codec, sample, spec), Reference(codec.id, codes)
    return _checked(codec, codec.decode(payload, spec), spec), None


def _before(codec: Codec, reference: Reference | None) -> Array:
    """Return the codes that a frame of changes starts from."""
    if not (isinstance(codec, CodedCodec) and codec.writes_changes):
        raise FrameError(f"frame holds a change, which codec {codec.name!r} has not learnt to read")
    if reference is None or reference.codec_id != codec.id:
        raise MissingReferenceError(
            f"frame of codec {codec.name!r} holds the change from a sample that is not kept here; "
            "send this one whole"
        )
    return reference.codes


def _spec_of(codec: Codec, sample: Array) -> TensorSpec:
    """Return a sample's spec; raise `InputError` if the codec does not support it."""
    dtype = _DTYPE_NAMES.get(sample.dtype, str(sample.dtype))
    try:
        spec = TensorSpec("sample", dtype, sample.shape)
    except ConfigError as error:
        raise InputError(str(error)) from error
    if not codec.supports(spec):
        raise InputError(f"codec {codec.name!r} does not carry {dtype} of shape {sample.shape}")
    return spec


def _check_support(codec: Codec, spec: TensorSpec) -> None:
    if not codec.supports(spec):
        raise FrameError(f"frame's codec {codec.name!r} does not carry tensor {spec.name!r}")


def _checked(codec: Codec, sample: Array, spec: TensorSpec) -> Array:
    """Return a sample that a codec decoded, if it is one of ``spec``."""
    if sample.dtype != spec.dtype or sample.shape != spec.shape:
        raise FrameError(f"frame's codec {codec.name!r} gave another tensor than {spec.name!r}")
    return sample


def _seed(codec: Codec, spec: TensorSpec) -> int:
    """Return what the checksum of a short frame starts from: all that is not in the frame."""
    return zlib.crc32(f"{spec.dtype} {spec.shape}".encode(), codec.fingerprint)
