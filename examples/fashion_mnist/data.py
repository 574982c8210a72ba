"""Fashion-MNIST (Xiao et al., arXiv 1708.07747; MIT licence): pictures of ten kinds of clothes."""

from __future__ import annotations

import gzip

import numpy as np

from examples.dataset import DataSet, Samples

__all__ = ["CLASSES", "held_out", "test", "train"]

CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
HELD_OUT = 5000
TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
DATA = DataSet(
    "fashion-mnist",
    "FASHION_MNIST",
    {
        TRAIN[0]: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        TRAIN[1]: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        TEST[0]: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        TEST[1]: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)


def train() -> Samples:
    """Return the training images but the last 5,000: uint8 (55000, 28, 28, 1), and labels."""
    images, labels = _read(*TRAIN)
    return images[:-HELD_OUT], labels[:-HELD_OUT]


def held_out() -> Samples:
    """Return the last 5,000 training images, for calibration."""
    images, labels = _read(*TRAIN)
    return images[-HELD_OUT:], labels[-HELD_OUT:]


def test() -> Samples:
    """Return the 10,000 test images and labels."""
    return _read(*TEST)


def _read(images: str, labels: str) -> Samples:
    return _idx(images, 16).reshape(-1, 28, 28, 1), _idx(labels, 8).astype(np.int64)


def _idx(file: str, header_bytes: int) -> np.ndarray:
    data = bytearray(gzip.decompress(DATA.read(file)))  # torch wants arrays that may be written
    return np.frombuffer(data, np.uint8, offset=header_bytes)
