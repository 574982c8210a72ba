"""The base of codecs that keep in the bundle all that their frames need besides codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np

from offramp.codecs.codec import Codec, Parameters
from offramp.codecs.planes import Planes
from offramp.errors import ConfigError, FrameError, InputError
from offramp.tensors import Array, TensorSpec

__all__ = ["CalibratedCodec", "Learnt"]


class Learnt(ABC):
    """What a codec has learnt of tensors that are seen as ``planes``."""

    planes: Planes

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Return all of it but the planes, to be stored by name."""

    @abstractmethod
    def encode(self, values: Array) -> bytes | None:
        """Return the payload of float32 (C, H, W); None if it cannot be carried."""

    @abstractmethod
    def decode(self, payload: bytes | memoryview) -> Array | None:
        """Return float32 (C, H, W); None for a payload that `encode` did not write."""

    def prepare(self) -> None:
        """Load what the first sample would otherwise wait for."""
        return


L = TypeVar("L", bound=Learnt)


@dataclass(frozen=True)
class CalibratedCodec(Codec, Generic[L]):
    """A codec for the float32 tensors of one shape, which it has ``learnt`` to carry."""

    learnt: L | None = None

    calibrated: ClassVar[bool] = True

    @abstractmethod
    def learnt_of(self, planes: Planes, arrays: Mapping[str, Array]) -> L:
        """Return what `Learnt.arrays` stored; raise `ConfigError` if these are none."""

    def supports(self, spec: TensorSpec) -> bool:
        """Say whether the tensor is of float32 and has a side at least."""
        return spec.dtype == "float32" and len(spec.shape) > 0

    def prepare(self) -> None:
        """Load what the first sample would otherwise wait for."""
        if self.learnt:
            self.learnt.prepare()

    def encode(self, sample: Array) -> bytes:
        """Return the payload of a sample of the shape that was learnt."""
        payload = self._ready().encode(self._planes_of(sample))
        if payload is None:
            raise self._unfit(sample)
        return payload

    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the sample that a payload holds."""
        learnt = self._ready()
        found = learnt.decode(payload) if spec.shape == learnt.planes.shape else None
        if found is None:
            raise self._foreign(payload, spec)
        return learnt.planes.restore(found)

    def check(self, samples: Array) -> None:
        """Raise `InputError` if samples to be calibrated on are not finite."""
        if not np.isfinite(samples).all():
            raise InputError(f"codec {self.name!r} cannot be calibrated on infinite numbers")

    def parameters(self) -> Parameters:
        """Return what was learnt, the tensor's shape and the axis of its channels."""
        return {**self.learnt.planes.parameters(), **self.learnt.arrays()} if self.learnt else {}

    def with_parameters(self, parameters: Mapping[str, float | Array]) -> Self:
        """Return this codec as stored, or uncalibrated if there are no parameters."""
        if not parameters:
            return replace(self, learnt=None)
        plain = {"axis", "shape"}
        if not plain <= set(parameters):
            raise ConfigError(
                f"codec {self.name!r} takes a shape, an axis and what was learnt of these, not "
                f"{', '.join(sorted(parameters))}"
            )
        arrays = {n: np.array(value) for n, value in parameters.items() if n not in plain}
        return replace(self, learnt=self.learnt_of(Planes.of(parameters), arrays))

    def _ready(self) -> L:
        if self.learnt is None:
            raise ConfigError(f"codec {self.name!r} is not calibrated for this tensor")
        return self.learnt

    def _planes_of(self, sample: Array) -> Array:
        """Return a sample as planes; raise `InputError` if it has not the shape that was learnt."""
        planes = self._ready().planes
        if sample.shape != planes.shape:
            raise self._unfit(sample)
        return planes.view(sample)

    def _unfit(self, sample: Array) -> InputError:
        return InputError(
            f"codec {self.name!r} carries finite numbers of shape {self._ready().planes.shape}, "
            f"for which it was calibrated, not this sample of shape {sample.shape}; send it as "
            "'lossless'"
        )

    def _foreign(self, payload: bytes | memoryview, spec: TensorSpec) -> FrameError:
        return FrameError(
            f"payload of {len(payload)} bytes is none of codec {self.name!r} for a tensor of "
            f"shape {spec.shape}"
        )
