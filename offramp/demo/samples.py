"""Samples: the embedded data set's test images, written to files that the agent reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from offramp.bundle import open_bundle
from offramp.embedded import cluttered_digits
from offramp.errors import ConfigError

__all__ = ["check_bundle", "write_part", "write_samples"]

_BLOCK = 10


def check_bundle(path: Path) -> None:
    """Raise `ConfigError` unless the bundle's model takes the embedded data set's images."""
    size = cluttered_digits.SIZE
    tensors = open_bundle(path).manifest.boundaries[0].tensors
    if [(spec.dtype, tuple(spec.shape)) for spec in tensors] != [("uint8", (size, size, 3))]:
        raise ConfigError(
            f"{path}: its model does not take uint8 images of {size} x {size} x 3; "
            "the demo streams the embedded data set, so name a bundle made for it"
        )


def write_samples(
    path: Path, count: int, seed: int, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Write the first ``count`` test images and labels; ``progress`` hears how many were drawn."""
    blocks = []
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        blocks.append(cluttered_digits.load("test", size, seed=seed, start=start))
        progress(size)
    inputs, labels = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
    np.savez(path, inputs=inputs, labels=labels)


def write_part(source: Path, path: Path, count: int) -> None:
    """Write the first ``count`` samples of a file to another."""
    with np.load(source, allow_pickle=False) as loaded:
        np.savez(path, inputs=loaded["inputs"][:count], labels=loaded["labels"][:count])
