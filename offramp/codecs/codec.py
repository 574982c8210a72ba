"""The contract that every codec keeps.

A codec turns one sample of a tensor into a payload, and a payload into the sample again.

- A codec is immutable, and safe to use from several threads at once.
- `name` is what settings, plans and manifests say; `id` is what frames say. Both belong to one
  codec for ever: an id that went out is never given to another codec.
- What a codec wrote yesterday it decodes today, to the same elements, without the bundle and
  without the parameters it was calibrated with: all that decoding needs is in the payload.
- `encode` takes any sample whose spec the codec supports, contiguous or not, and leaves it as
  it was. The same sample gives the same bytes within one release of the libraries.
- `decode` trusts nothing. It allocates no more than a small multiple of what the spec says,
  and raises `FrameError` for whatever is not a payload of this codec and this spec.
- `decode` returns a new, writable, C-contiguous array with the spec's dtype and shape.
- A lossless codec returns every bit as it was, not-a-numbers included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from offramp.errors import ConfigError
from offramp.tensors import Array, TensorSpec

__all__ = ["Codec"]


@dataclass(frozen=True)
class Codec(ABC):
    """A way to write one sample of a tensor as bytes."""

    name: str
    id: int
    lossless: bool

    @abstractmethod
    def supports(self, spec: TensorSpec) -> bool:
        """Say whether this codec can carry such a tensor."""

    @abstractmethod
    def encode(self, sample: Array) -> bytes:
        """Return the payload for one sample; raise `InputError` for values it cannot carry."""

    @abstractmethod
    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the sample that ``payload`` holds; raise `FrameError` if it holds none."""

    def prepare(self) -> None:
        """Load what the first sample would otherwise wait for; most codecs need nothing."""
        return

    def fit(self, samples: Array) -> Self:
        """Return this codec calibrated on ``samples``, an array of shape (n, *shape)."""
        return self

    def parameters(self) -> dict[str, float]:
        """Return what `fit` found, to be stored in a bundle's manifest; empty if nothing."""
        return {}

    def with_parameters(self, parameters: Mapping[str, float]) -> Self:
        """Return this codec with stored parameters; raise `ConfigError` for unknown ones."""
        if parameters:
            raise ConfigError(
                f"codec {self.name!r} takes no parameters; remove {', '.join(sorted(parameters))}"
            )
        return self
