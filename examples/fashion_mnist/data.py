"""Fashion-MNIST (Xiao et al., arXiv 1708.07747; MIT licence), checked by digest.

The four IDX files are taken from ``../shared/data/fashion-mnist`` beside the repository or from
``$FASHION_MNIST``; otherwise they are downloaded once to ``~/.cache/offramp/fashion-mnist``.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from offramp.errors import ConfigError

__all__ = ["CLASSES", "held_out", "test", "train"]

CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
HELD_OUT = 5000
SHA256 = {
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84": "train-images-idx3-ubyte",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845": "train-labels-idx1-ubyte",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073": "t10k-images-idx3-ubyte",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5": "t10k-labels-idx1-ubyte",
}

Samples = tuple[np.ndarray, np.ndarray]


def train() -> Samples:
    """Return the training images but the last 5,000: uint8 (55000, 28, 28, 1), and labels."""
    images, labels = _read("train")
    return images[:-HELD_OUT], labels[:-HELD_OUT]


def held_out() -> Samples:
    """Return 1,000 of the last 5,000 training images, for calibration."""
    images, labels = _read("train")
    return images[-HELD_OUT:-4000], labels[-HELD_OUT:-4000]


def test() -> Samples:
    """Return the 10,000 test images and labels."""
    return _read("t10k")


def _read(part: str) -> Samples:
    images = _open(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    return images, _open(f"{part}-labels-idx1-ubyte.gz", 8).astype(np.int64)


def _open(name: str, header_bytes: int) -> np.ndarray:
    data = _fetch(name)
    if SHA256.get(hashlib.sha256(data).hexdigest()) != name.removesuffix(".gz"):
        raise ConfigError(f"{name} does not match its SHA-256; remove it and try again")
    return np.frombuffer(gzip.decompress(data), np.uint8, offset=header_bytes)


def _fetch(name: str) -> bytes:
    shared = Path(__file__).parents[2].parent / "shared" / "data" / "fashion-mnist"
    cache = Path.home() / ".cache" / "offramp" / "fashion-mnist"
    for folder in (Path(os.environ.get("FASHION_MNIST", shared)), cache):
        if (folder / name).is_file():
            return (folder / name).read_bytes()
    try:
        with urllib.request.urlopen(URL + name, timeout=60) as reply:
            data: bytes = reply.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise ConfigError(
            f"{name} cannot be downloaded ({error}); set FASHION_MNIST to a folder that has it"
        ) from None
    cache.mkdir(parents=True, exist_ok=True)
    (cache / name).write_bytes(data)
    return data
