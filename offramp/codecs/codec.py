"""The contract that every codec keeps.

A codec turns one sample of a tensor into a payload, and a payload into the sample again.

- A codec is immutable, and safe to use from several threads at once.
- `name` is what settings, plans and manifests say; `id` is what frames say. Both belong to one
  codec for ever: an id that went out is never given to another codec.
- What a codec wrote yesterday it decodes today, to the same elements. All that decoding needs is
  in the payload, or, where a codec is `calibrated`, in the parameters it was calibrated with: its
  frames decode with these only, and say if others are used.
- `encode` takes any sample whose spec the codec supports, contiguous or not, and leaves it as
  it was. The same sample gives the same bytes within one release of the libraries.
- `decode` trusts nothing. It allocates no more than a small multiple of what the spec says,
  and raises `FrameError` for whatever is not a payload of this codec and this spec.
- `decode` returns a new, writable, C-contiguous array with the spec's dtype and shape.
- A lossless codec returns every bit as it was, not-a-numbers included.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from offramp.codecs.effect import Effect
from offramp.errors import ConfigError
from offramp.tensors import Array, TensorSpec

__all__ = ["Codec", "Parameters"]

Parameters = dict[str, float | Array]
"""What `Codec.fit` finds, by name."""


@dataclass(frozen=True)
class Codec(ABC):
    """A way to write one sample of a tensor as bytes."""

    name: str
    id: int
    lossless: bool

    calibrated: ClassVar[bool] = False
    """Whether frames hold nothing that is in the parameters, and decode with these only."""

    quick: ClassVar[bool] = True
    """Whether it takes about as long as Zstandard, or less."""

    offered: ClassVar[bool] = True
    """Whether a compile fits it; the others are there to be compared with, and for frames."""

    of_latents: ClassVar[bool] = False
    """Whether it carries what a bottleneck's encoder makes of a tensor."""

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

    def fit(self, samples: Array, effect: Effect) -> Self:
        """Return this codec calibrated on ``samples``, an array of shape (n, *shape).

        ``effect`` tells what a change of them does to the answers.
        """
        return self

    def parameters(self) -> Parameters:
        """Return what `fit` found, to be stored in a bundle; empty if nothing."""
        return {}

    def with_parameters(self, parameters: Mapping[str, float | Array]) -> Self:
        """Return this codec with stored parameters; raise `ConfigError` for unknown ones."""
        if parameters:
            raise ConfigError(
                f"codec {self.name!r} takes no parameters; remove {', '.join(sorted(parameters))}"
            )
        return self

    @cached_property
    def fingerprint(self) -> int:
        """A checksum, 32 bits, of the id and all parameters."""
        found = zlib.crc32(self.name.encode())
        for name, value in sorted(self.parameters().items()):
            array = np.asarray(value)
            stated = f"{name} {array.dtype.str} {array.shape}".encode()
            found = zlib.crc32(np.ascontiguousarray(array).tobytes(), zlib.crc32(stated, found))
        return found
