"""A boundary's codec: one level applied to every tensor that crosses a cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offramp import codecs
from offramp.bundle import Boundary
from offramp.errors import ConfigError, FrameError
from offramp.tensors import Array, TensorSpec

__all__ = ["LOSSLESS", "BoundaryCodec", "codec_of", "decode_boundary", "prepare_codecs"]

LOSSLESS = "lossless"


class BoundaryCodec:
    """Encodes one sample of a boundary at a level, with the bundle's calibrated parameters.

    A tensor that the level cannot carry, such as an attention mask, goes as `LOSSLESS`.
    """

    def __init__(self, boundary: Boundary, level: str) -> None:
        if level not in boundary.levels:
            raise ConfigError(
                f"level {level!r} is not calibrated for this cut; choose one of "
                + ", ".join(boundary.levels)
            )
        self.level = level
        self._codecs = [
            codec_of(level, tensor).with_parameters(parameters)
            for tensor, parameters in zip(boundary.tensors, boundary.levels[level], strict=True)
        ]

    def encode(self, sample: Sequence[Array]) -> tuple[bytes, ...]:
        """Return one frame for each tensor; the arrays have no batch dimension."""
        return tuple(
            codecs.encode(codec, array) for codec, array in zip(self._codecs, sample, strict=True)
        )


def codec_of(level: str, tensor: TensorSpec) -> codecs.Codec:
    """Return the codec that carries a tensor at a level."""
    codec = codecs.get(level)
    return codec if codec.supports(tensor) else codecs.get(LOSSLESS)


def prepare_codecs(boundaries: Iterable[Boundary]) -> None:
    """Let the codecs of every level load what the first sample would otherwise wait for."""
    for boundary in boundaries:
        for level in boundary.levels:
            for tensor in boundary.tensors:
                codec_of(level, tensor).prepare()


def decode_boundary(
    frames: Sequence[bytes], tensors: Sequence[TensorSpec], *, limit_bytes: int
) -> list[Array]:
    """Decode one sample of a boundary; raise `FrameError` unless the frames are of ``tensors``."""
    if len(frames) != len(tensors):
        raise FrameError(f"there are {len(frames)} frames for {len(tensors)} boundary tensors")
    return [
        codecs.decode(frame, tensor, limit_bytes=limit_bytes)
        for frame, tensor in zip(frames, tensors, strict=True)
    ]
