"""Tensors whose planes go through a context model: what codecs that do so have learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from offramp.codecs.calibrated import Learnt
from offramp.codecs.planes import Planes
from offramp.errors import ConfigError
from offramp.tensors import Array

if TYPE_CHECKING:
    from offramp.codecs.context_model import ContextModel

__all__ = ["Coded", "few"]

_MOST_ELEMENTS = 1 << 22


@dataclass(frozen=True, eq=False)
class Coded(Learnt):
    """A context model (`offramp.codecs.context_model`) for the planes of a tensor."""

    planes: Planes
    model: ContextModel

    def __post_init__(self) -> None:
        if self.planes.sides[0] != self.model.channels:
            raise ConfigError(
                f"a model of {self.model.channels} channels is none for {self.planes}"
            )

    @classmethod
    def of(cls, planes: Planes, arrays: Mapping[str, Array]) -> Self:
        """Return what was stored; raise `ConfigError` if that is no model of these planes."""
        from offramp.codecs.context_model import ContextModel

        return cls(planes, ContextModel.of(arrays))

    def arrays(self) -> dict[str, Array]:
        """Return the model's arrays."""
        return self.model.arrays()

    def encode(self, values: Array) -> bytes | None:
        """Return the coded codes."""
        return self.model.encode(values)

    def decode(self, payload: bytes | memoryview) -> Array | None:
        """Return what the codes stand for in their contexts."""
        return self.model.decode(payload, self.planes.sides)

    def prepare(self) -> None:
        """Compile the loops, or load them compiled."""
        from offramp.codecs.context_model import warm_up

        warm_up()


def few(samples: Array) -> Array:
    """Return as many of the first samples as a model is worth being learnt from."""
    return samples[: max(_MOST_ELEMENTS // samples[0].size, 8)]
