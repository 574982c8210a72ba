"""The contract of a backend: an engine that runs the programs of a bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from offramp.tensors import Array

__all__ = ["Backend", "Run"]

Run = Callable[[Sequence[Array]], list[Array]]
"""Takes and returns one array a tensor, each with the batch as its first dimension."""


class Backend(ABC):
    """An engine. It is stateless: all state is in what `load` returns."""

    name: ClassVar[str]
    file: ClassVar[str]
    """The file of a program's folder that this engine reads."""
    ready_at_once: ClassVar[bool] = True
    """Whether a loaded program runs at full speed from its first or second call."""

    @abstractmethod
    def missing(self) -> str | None:
        """Return what has to be installed before this backend can run, or None."""

    def files(self, folder: str) -> tuple[str, ...]:
        """Return the names of the bundle's files that `load` reads for a program's folder.

        The first one says whether the bundle holds the program for this engine; a bundle may lack
        the others.
        """
        return f"{folder}/{self.file}", f"{folder}/weights.safetensors"

    @abstractmethod
    def load(self, folders: Sequence[Path], threads: int) -> Run:
        """Load neighbouring programs as one, to run on ``threads`` threads.

        Each takes the outputs of the one before it. Several folders lie in the same one. Raises
        `BundleError` if the folders' files are not what this engine reads.
        """
