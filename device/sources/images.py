"""Source `images`: the pictures of a folder, resized to what the model takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device.sources.source import Sample
from offramp.errors import ConfigError, InputError
from offramp.tensors import TensorSpec

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ImageSource"]

_BILINEAR = 2  # PIL.Image.Resampling.BILINEAR, which most sources need not import
_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class ImageSource:
    """Every image below a folder, in the order of their paths.

    A sub-folder with the name of a class labels the images in it. Raises `InputError` at once if
    one of them does not begin as an image does, and later where one turns out to be cut off.
    """

    def __init__(self, folder: Path, tensor: TensorSpec, classes: tuple[str, ...] = ()) -> None:
        if tensor.dtype != "uint8" or len(tensor.shape) != 3 or tensor.shape[2] not in (1, 3):
            raise InputError(
                f"the model takes {tensor.dtype} of shape {tensor.shape}; a folder of images "
                "needs a model that takes uint8 of shape (height, width, 1 or 3)"
            )
        self._paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _ENDINGS)
        if not self._paths:
            raise ConfigError(f"{folder}: there is no image in this folder")
        for path in self._paths:
            with _reading(path):
                pass
        self._tensor = tensor
        self._classes = classes
        self.count: int | None = len(self._paths)

    def __iter__(self) -> Iterator[Sample]:
        height, width, channels = self._tensor.shape
        for path in self._paths:
            with _reading(path) as image:
                picture = image.convert("RGB" if channels == 3 else "L")
                array = np.asarray(picture.resize((width, height), _BILINEAR))
            folder = path.parent.name
            label = self._classes.index(folder) if folder in self._classes else None
            yield Sample((array.reshape(self._tensor.shape),), label, path.name)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Image.Image]:
    from PIL import Image  # not before: most sources need none of it

    try:
        with Image.open(path) as image:
            yield image
    except Exception as error:  # Pillow's readers raise many kinds
        raise InputError(f"{path}: not an image that can be read ({error})") from None
