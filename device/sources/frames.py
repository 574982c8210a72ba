"""Source `frames`: arrays from a numpy file, or one array after the other from standard input."""

from __future__ import annotations

import sys
import tokenize
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from device.sources.source import Sample
from offramp.errors import InputError

__all__ = ["FileSource", "StreamSource"]


_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    MemoryError,
    zipfile.BadZipFile,
    tokenize.TokenError,
)
"""What numpy raises for files that are no arrays, or say that they are too large."""


class FileSource:
    """A ``.npy`` file (samples, ...), or an ``.npz`` of ``inputs`` and, if any, ``labels``."""

    def __init__(self, path: Path) -> None:
        try:
            loaded = np.load(path, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                self._inputs, self._labels = loaded, None
            else:
                with loaded:
                    self._inputs = loaded["inputs"]
                    self._labels = loaded.get("labels")
        except KeyError:
            raise InputError(f"{path}: holds no array named 'inputs'") from None
        except _UNREADABLE as error:
            raise InputError(f"{path}: not a numpy file that can be read ({error})") from None
        if self._inputs.ndim == 0:
            raise InputError(f"{path}: the array has no sample dimension")
        if self._labels is not None and len(self._labels) != len(self._inputs):
            raise InputError(f"{path}: {len(self._labels)} labels for {len(self._inputs)} inputs")
        self.count: int | None = len(self._inputs)

    def __iter__(self) -> Iterator[Sample]:
        for at, array in enumerate(self._inputs):
            yield Sample((array,), None if self._labels is None else int(self._labels[at]))


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
            except _UNREADABLE as error:
                raise InputError(f"standard input: not an array in .npy form ({error})") from None
            yield Sample((array,))
            first = self._stream.read(1)


class _Rest:
    """A stream with one byte put back."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first = first
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        return first + self._stream.read(size - len(first) if size >= 0 else -1)
