"""What the image codecs share: which tensors are images, and how Pillow is kept to them."""

from __future__ import annotations

import io
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from offramp.codecs.codec import Codec
from offramp.errors import FrameError
from offramp.tensors import Array, TensorSpec

__all__ = ["ImageCodec", "Picture"]

_MOST_PIXELS = 1 << 26  # below the size at which Pillow warns


class Picture(NamedTuple):
    """What a file must say of itself: its size in pixels and its channels, 3 or 1."""

    width: int
    height: int
    channels: int

    @property
    def mode(self) -> str:
        """Pillow's name for such pixels."""
        return "RGB" if self.channels == 3 else "L"


@dataclass(frozen=True)
class ImageCodec(Codec):
    """A codec for uint8 images of shape (H, W, 3), (H, W, 1) or (H, W).

    A payload is a file as Pillow writes it, with nothing in it but the pixels. ``quality`` is
    Pillow's, 1 to 100, and does not matter to decoding. Pillow reads a payload only after
    `check` has found the expected size in it: some of its readers allocate as they open.
    """

    quality: int | None = None

    format: ClassVar[str]
    longest_side: ClassVar[int]

    def supports(self, spec: TensorSpec) -> bool:
        """Say whether the tensor is an image that the format can hold."""
        shape = spec.shape
        return (
            spec.dtype == "uint8"
            and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3)))
            and max(shape[:2]) <= self.longest_side
            and shape[0] * shape[1] <= _MOST_PIXELS
        )

    def prepare(self) -> None:
        """Load Pillow and its formats."""
        from PIL import Image  # not before: a device alone sends no image

        Image.init()

    def encode(self, sample: Array) -> bytes:
        """Return the image as a file."""
        from PIL import Image

        picture = _picture(sample.shape)
        grey = sample[:, :, 0] if sample.shape[2:] == (1,) else sample
        file = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(grey))
        image.save(file, self.format, **self.options(picture))
        return file.getvalue()

    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the file's pixels."""
        from PIL import Image

        picture = _picture(spec.shape)
        self.check(memoryview(payload), picture)
        try:
            with Image.open(io.BytesIO(payload), formats=(self.format,)) as image:
                size, pixels = image.size, np.array(image.convert(picture.mode))
        except Exception as error:  # Pillow's readers raise many kinds
            raise FrameError(f"payload is no {self.format} image: {error}") from error
        if size != (picture.width, picture.height):
            raise FrameError(f"payload is an image of {size} pixels, not of {picture}")
        return pixels.reshape(spec.shape)

    @abstractmethod
    def options(self, picture: Picture) -> dict[str, Any]:
        """Return what Pillow is told when it writes the file."""

    @abstractmethod
    def check(self, payload: memoryview, picture: Picture) -> None:
        """Raise `FrameError` unless the file says that it is such a picture and no more."""


def _picture(shape: tuple[int, ...]) -> Picture:
    height, width, *channels = shape
    return Picture(width, height, channels[0] if channels else 1)
