"""A boundary's codec: one level applied to every tensor that crosses a cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offramp import codecs, frame
from offramp.bundle import Boundary, Bundle
from offramp.codecs.codec import Parameters
from offramp.errors import BundleError, ConfigError, FrameError
from offramp.tensors import Array, TensorSpec

__all__ = [
    "FILE",
    "LOSSLESS",
    "BoundaryCodec",
    "BundleCodecs",
    "Received",
    "References",
    "Sent",
    "codec_of",
    "decode_boundary",
    "split_parameters",
]

LOSSLESS = "lossless"
FILE = "codecs.safetensors"
"""What codecs have learnt and is no single number; by `split_parameters`."""


References = tuple[codecs.Reference | None, ...]
"""What is kept of an earlier sample, by tensor; empty if nothing is."""


@dataclass(frozen=True)
class Sent:
    """A sample's frames, one for each tensor, and what a later sample can refer to."""

    frames: tuple[bytes, ...]
    references: References

    @property
    def size_bytes(self) -> int:
        """How long the frames are together."""
        return sum(map(len, self.frames))

    @property
    def holds_changes(self) -> bool:
        """Whether a frame can be read only by who has kept what it was encoded after."""
        return any(frame.is_short(one) and frame.is_change(one) for one in self.frames)


class BoundaryCodec:
    """Encodes one sample of a boundary at a level.

    A tensor that the level cannot carry, such as an attention mask, goes as `LOSSLESS`.
    """

    def __init__(self, level: str, each: Sequence[codecs.Codec]) -> None:
        self.level = level
        self.codecs = tuple(each)

    @property
    def narrow(self) -> bool:
        """Whether one of the tensors goes as a bottleneck's latent."""
        return any(codec.of_latents for codec in self.codecs)

    @property
    def writes_changes(self) -> bool:
        """Whether a codec has learnt to write a sample as its change from an earlier one."""
        return any(isinstance(c, codecs.CodedCodec) and c.writes_changes for c in self.codecs)

    def prepare(self) -> None:
        """Let every codec load what the first sample would otherwise wait for."""
        for codec in self.codecs:
            codec.prepare()

    def encode(self, sample: Sequence[Array], references: References = ()) -> Sent:
        """Return a sample as it is sent; the arrays have no batch dimension.

        Where this is `narrow` they are those of `Boundary.narrow`. Tensors go as their change from
        the ``references`` where that is shorter.
        """
        known = references or (None,) * len(self.codecs)
        each = zip(self.codecs, sample, known, strict=True)
        frames, kept = zip(*(codecs.encode_next(*one) for one in each), strict=True)
        return Sent(frames, kept)


@dataclass(frozen=True)
class Received:
    """The tensors of one sample that came, and what a later one can refer to.

    Where they are ``narrow`` the bottleneck's decoder has to run on its latent among them. They
    crossed at ``level``, None if the frames are of no level that is calibrated for the cut.
    """

    tensors: list[Array]
    references: References
    narrow: bool
    level: str | None = None


class BundleCodecs:
    """The codecs of every cut and level of a bundle, with what they have learnt.

    ``arrays`` are those of the bundle's `FILE`. Whatever is wrong with them is a `BundleError`.
    """

    def __init__(self, boundaries: Sequence[Boundary], arrays: Mapping[str, Array]) -> None:
        self._boundaries = boundaries
        self._arrays = arrays
        self._known: dict[tuple[int, str], BoundaryCodec] = {}
        self._by_id: dict[int, list[dict[int, codecs.Codec]]] = {}
        self._by_ids: dict[int, dict[tuple[int, ...], str]] = {}

    @classmethod
    def of(cls, bundle: Bundle) -> BundleCodecs:
        """Return the codecs of a bundle."""
        manifest = bundle.manifest
        return cls(manifest.boundaries, bundle.arrays(FILE) if FILE in manifest.files else {})

    def at(self, cut: int, level: str) -> BoundaryCodec:
        """Return the codec of a cut and level; raise `ConfigError` if it is not calibrated."""
        if (cut, level) not in self._known:
            boundary = self._boundaries[cut]
            if level not in boundary.levels:
                raise ConfigError(
                    f"level {level!r} is not calibrated for this cut; choose one of "
                    + ", ".join(boundary.levels)
                )
            pairs = zip(boundary.tensors, boundary.levels[level], strict=True)
            each = [
                self._fitted(codec, cut, tensor, parameters)
                for codec, (tensor, parameters) in zip(self.kinds(cut, level), pairs, strict=True)
            ]
            self._known[cut, level] = BoundaryCodec(level, each)
        return self._known[cut, level]

    def levels(self, cut: int) -> list[str]:
        """Return the levels that are calibrated for a cut."""
        return list(self._boundaries[cut].levels)

    def kinds(self, cut: int, level: str) -> list[codecs.Codec]:
        """Return the codecs of a cut and level as they are without parameters, by tensor."""
        boundary = self._boundaries[cut]
        try:
            return [codec_of(level, tensor, boundary) for tensor in boundary.tensors]
        except ConfigError as error:
            raise BundleError(
                f"cut {cut} has a level of another release: {error}; install a newer Offramp"
            ) from None

    def decode(
        self,
        cut: int,
        frames: Sequence[bytes],
        *,
        limit_bytes: int,
        references: References = (),
    ) -> Received:
        """Decode one sample of a cut's boundary; raise `FrameError` unless the frames are of it.

        A frame may be of any level that is calibrated for the cut, or of a codec that needs no
        calibration. The tensors have no batch dimension.
        """
        boundary, known = self._boundaries[cut], self._calibrated(cut)
        narrow = self.is_narrow(cut, frames)
        tensors = boundary.narrow if narrow else boundary.tensors
        largest = max(boundary.tensors, key=lambda tensor: tensor.nbytes)
        if narrow and largest.nbytes > limit_bytes:
            raise FrameError(
                f"frame is over the limit: tensor {largest.name!r} takes {largest.nbytes} bytes, "
                f"more than {limit_bytes}"
            )
        _check_count(frames, tensors)
        before = references if len(references) == len(tensors) else (None,) * len(tensors)
        found = [
            codecs.decode_next(
                one, spec, limit_bytes=limit_bytes, calibrated=here, reference=reference
            )
            for one, spec, here, reference in zip(frames, tensors, known, before, strict=True)
        ]
        samples, kept = zip(*found, strict=True)
        return Received(list(samples), kept, narrow, self._level_of(cut, frames))

    def is_narrow(self, cut: int, frames: Sequence[bytes]) -> bool:
        """Tell whether frames of a cut's boundary state that one holds a bottleneck's latent."""
        if self._boundaries[cut].bottleneck is None:
            return False
        return any(
            frame.is_short(one) and (codec := here.get(frame.short_id(one))) and codec.of_latents
            for one, here in zip(frames, self._calibrated(cut), strict=False)
        )

    def _level_of(self, cut: int, frames: Sequence[bytes]) -> str | None:
        """Return the level of frames that have been decoded."""
        if cut not in self._by_ids:
            levels = self._boundaries[cut].levels
            each = {level: self.at(cut, level).codecs for level in levels}
            self._by_ids[cut] = {tuple(c.id for c in some): level for level, some in each.items()}
        return self._by_ids[cut].get(tuple(frame.codec_id(one) for one in frames))

    def _calibrated(self, cut: int) -> list[dict[int, codecs.Codec]]:
        """Return for each tensor the codecs of all levels by their id."""
        if cut not in self._by_id:
            boundary = self._boundaries[cut]
            each = [self.at(cut, level).codecs for level in boundary.levels]
            by_tensor = zip(*each, strict=True) if each else [()] * len(boundary.tensors)
            self._by_id[cut] = [{codec.id: codec for codec in some} for some in by_tensor]
        return self._by_id[cut]

    def _fitted(
        self, codec: codecs.Codec, cut: int, tensor: TensorSpec, numbers: Mapping[str, float]
    ) -> codecs.Codec:
        prefix = _array_name(cut, codec.name, tensor.name, "")
        learnt: Parameters = dict(numbers)
        for name, array in self._arrays.items():
            if name.startswith(prefix):
                learnt[name.removeprefix(prefix)] = array
        try:
            if codec.calibrated and not learnt:
                raise ConfigError(f"there is nothing of it for tensor {tensor.name!r}")
            return codec.with_parameters(learnt)
        except ConfigError as error:
            raise BundleError(
                f"what level {codec.name!r} of cut {cut} has learnt cannot be used: {error}"
            ) from None


def split_parameters(
    cut: int, codec: str, tensor: str, learnt: Parameters
) -> tuple[dict[str, float], dict[str, Array]]:
    """Return what of a codec's parameters goes into the manifest, and what into `FILE`."""
    numbers = {name: value for name, value in learnt.items() if isinstance(value, float)}
    arrays = {
        _array_name(cut, codec, tensor, name): np.asarray(value)
        for name, value in learnt.items()
        if name not in numbers
    }
    return numbers, arrays


def decode_boundary(
    frames: Sequence[bytes], tensors: Sequence[TensorSpec], *, limit_bytes: int
) -> list[Array]:
    """Decode one sample of a boundary, from frames of codecs that need no calibration.

    Raises `FrameError` unless the frames are of ``tensors``.
    """
    _check_count(frames, tensors)
    pairs = zip(frames, tensors, strict=True)
    return [codecs.decode(frame, tensor, limit_bytes=limit_bytes) for frame, tensor in pairs]


def _check_count(frames: Sequence[bytes], tensors: Sequence[TensorSpec]) -> None:
    if len(frames) != len(tensors):
        raise FrameError(f"there are {len(frames)} frames for {len(tensors)} boundary tensors")


def _array_name(cut: int, codec: str, tensor: str, parameter: str) -> str:
    """Return the name under which `FILE` holds an array of a codec's parameters."""
    return f"{cut}/{codec}/{tensor}/{parameter}"


def codec_of(level: str, tensor: TensorSpec, boundary: Boundary) -> codecs.Codec:
    """Return the codec that carries a tensor of a boundary at a level."""
    codec, pair = codecs.get(level), boundary.bottleneck
    able = codec.supports(tensor)
    if codec.of_latents:
        able = pair is not None and pair.tensor == tensor.name
    return codec if able else codecs.get(LOSSLESS)
