"""Image codecs that send the image at half its size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offramp.codecs.codec import Codec
from offramp.codecs.image import ImageCodec
from offramp.tensors import Array, TensorSpec

__all__ = ["Half"]


@dataclass(frozen=True)
class Half(Codec):
    """An image of half the height and width in another codec's file.

    Each of its pixels is the mean of up to 2 x 2; the reader goes back by bicubic interpolation.
    A last row or column without a partner stands for itself.
    """

    file: ImageCodec

    def supports(self, spec: TensorSpec) -> bool:
        """Say whether the tensor is an image of 2 x 2 pixels at least whose half fits."""
        shape = spec.shape
        return len(shape) > 1 and min(shape[:2]) >= 2 and self.file.supports(_halved(spec))

    def prepare(self) -> None:
        """Load Pillow and its formats."""
        self.file.prepare()

    def encode(self, sample: Array) -> bytes:
        """Return the smaller image as a file."""
        from PIL import Image  # not before: a device alone sends no image

        grey = sample[:, :, 0] if sample.shape[2:] == (1,) else sample
        small = np.asarray(Image.fromarray(np.ascontiguousarray(grey)).reduce(2))
        return self.file.encode(small)

    def decode(self, payload: bytes | memoryview, spec: TensorSpec) -> Array:
        """Return the file's pixels at the size they had."""
        from PIL import Image

        small = self.file.decode(payload, _halved(spec))
        height, width = spec.shape[:2]
        grey = small[:, :, 0] if small.shape[2:] == (1,) else small
        image = Image.fromarray(grey).resize(
            (width, height), Image.Resampling.BICUBIC, box=(0, 0, width / 2, height / 2)
        )
        return np.array(image).reshape(spec.shape)


def _halved(spec: TensorSpec) -> TensorSpec:
    """Return the spec of the smaller image; half a pixel counts as one."""
    height, width, *channels = spec.shape
    return replace(spec, shape=(-(-height // 2), -(-width // 2), *channels))
