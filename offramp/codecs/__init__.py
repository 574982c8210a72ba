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
from offramp.codecs.context import Context
from offramp.codecs.fp16 import Fp16
from offramp.codecs.half import Half
from offramp.codecs.jpeg import Jpeg
from offramp.codecs.latent import Latent
from offramp.codecs.lossless import Lossless
from offramp.codecs.png import Png
from offramp.codecs.raw import Raw
from offramp.codecs.tokens import Tokens
from offramp.codecs.webp import WebP
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import DTYPES, Array, TensorSpec

__all__ = ["Codec", "by_id", "decode", "encode", "get", "names", "supporting"]

# An id that went out is never given to another codec; a codec that is withdrawn leaves a gap.
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
    dtype = _DTYPE_NAMES.get(sample.dtype, str(sample.dtype))
    try:
        spec = TensorSpec("sample", dtype, sample.shape)
    except ConfigError as error:
        raise InputError(str(error)) from error
    if not codec.supports(spec):
        raise InputError(f"codec {codec.name!r} does not carry {dtype} of shape {sample.shape}")
    payload = codec.encode(sample)
    if codec.calibrated:
        return frame.pack_short(codec.id, payload, _seed(codec, spec))
    return frame.pack(frame.Frame(codec.id, dtype, sample.shape, payload))


def decode(
    data: bytes | memoryview,
    spec: TensorSpec,
    *,
    limit_bytes: int,
    calibrated: Mapping[int, Codec] = _NONE,
) -> Array:
    """Return the sample that a frame holds; raise `FrameError` if it is not one of ``spec``.

    ``limit_bytes`` is the most that the sample may take, whatever ``spec`` says. ``calibrated`` are
    codecs with parameters, by id: those whose frames need these.
    """
    if frame.is_short(data):
        codec = calibrated.get(frame.short_id(data))
        if codec is None or not codec.calibrated:
            raise FrameError(
                f"frame has codec {frame.short_id(data)}, which is not calibrated for tensor "
                f"{spec.name!r} here; both ends need the same bundle"
            )
        if spec.nbytes > limit_bytes:
            raise FrameError(
                f"frame is over the limit: tensor {spec.name!r} takes {spec.nbytes} bytes, more "
                f"than {limit_bytes}"
            )
        payload = frame.unpack_short(data, _seed(codec, spec))
    else:
        found = frame.unpack(data, limit_bytes=limit_bytes)
        if (found.dtype, found.shape) != (spec.dtype, spec.shape):
            raise FrameError(
                f"frame holds {found.dtype} of shape {found.shape}, but tensor {spec.name!r} "
                f"is {spec.dtype} of shape {spec.shape}"
            )
        codec, payload = by_id(found.codec_id), memoryview(found.payload)
        if codec.calibrated:
            raise FrameError(f"frame of codec {codec.name!r} is not a short one")
    if not codec.supports(spec):
        raise FrameError(f"frame's codec {codec.name!r} does not carry tensor {spec.name!r}")
    sample = codec.decode(payload, spec)
    if sample.dtype != spec.dtype or sample.shape != spec.shape:
        raise FrameError(f"frame's codec {codec.name!r} gave another tensor than {spec.name!r}")
    return sample


def _seed(codec: Codec, spec: TensorSpec) -> int:
    """Return what the checksum of a short frame starts from: all that is not in the frame."""
    return zlib.crc32(f"{spec.dtype} {spec.shape}".encode(), codec.fingerprint)
