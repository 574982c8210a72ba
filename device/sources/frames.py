"""Source `frames`: arrays from a numpy file, or one array after the other from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from device.sources.source import Sample
from offramp.errors import InputError
from offramp.files import open_file
from offramp.tensors import Array

__all__ = ["FileSource", "StreamSource"]


class FileSource:
    """A ``.npy`` file (samples, ...), or an ``.npz`` of the model's inputs and, if any, ``labels``.

    ``names`` are the names of the model's inputs; a single one may be called ``inputs`` too.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._inputs, self._labels = _load(path, names)
        counts = {len(array) if array.ndim else 0 for array in self._inputs}
        if len(counts) > 1 or counts == {0}:
            shapes = " and ".join(str(array.shape) for array in self._inputs)
            raise InputError(f"{path}: arrays of shape {shapes} hold no equal number of samples")
        self.count: int | None = counts.pop()
        labels = self._labels
        if labels is not None and (labels.shape != (self.count,) or labels.dtype.kind not in "iu"):
            raise InputError(
                f"{path}: labels are {labels.dtype} of shape {labels.shape} for "
                f"{self.count} inputs; give one integer for each"
            )

    def __iter__(self) -> Iterator[Sample]:
        for at, arrays in enumerate(zip(*self._inputs, strict=True)):
            yield Sample(arrays, None if self._labels is None else int(self._labels[at]))


class StreamSource:
    """Arrays in ``.npy`` form, one for each sample, back to back until the stream ends."""

    count: int | None = None

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdin.buffer

    def __iter__(self) -> Iterator[Sample]:
        first = self._stream.read(1)
        while first:
            try:
                array = np.lib.format.read_array(_Rest(first, self._stream), allow_pickle=False)
            except Exception:  # numpy's reader raises many kinds
                raise InputError(
                    "standard input: not a whole array in .npy form; write it with numpy.save"
                ) from None
            yield Sample((array,))
            first = self._stream.read(1)


def _load(path: Path, names: Sequence[str]) -> tuple[list[Array], Array | None]:
    """Return the inputs of a file, and the labels if it holds any."""
    with open_file(path) as stream:
        try:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return [loaded], None
            wanted = ["inputs"] if len(names) == 1 and "inputs" in loaded else names
            missing = [name for name in wanted if name not in loaded]
            if missing:
                held = ", ".join(loaded) or "nothing"
                raise InputError(f"{path}: holds {held}, but no array of the name {missing[0]}")
            labels = np.asarray(loaded["labels"]) if "labels" in loaded else None
            return [np.asarray(loaded[name]) for name in wanted], labels
        except InputError:
            raise
        except Exception:  # numpy's and zipfile's readers raise many kinds
            raise InputError(
                f"{path}: not a whole numpy file of numbers; write it with numpy.save or "
                "numpy.savez"
            ) from None


class _Rest:
    """A stream with one byte put back."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first = first
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        return first + self._stream.read(size - len(first) if size >= 0 else -1)
