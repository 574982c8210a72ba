"""The contract of a backend: an engine that runs the programs of a bundle."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from offramp.tensors import Array

__all__ = ["Backend", "Chain", "Link", "Run"]

Run = Callable[[Sequence[Array]], list[Array]]
"""Takes and returns one array a tensor, each with the batch as its first dimension."""


@dataclass(frozen=True)
class Link:
    """One program of a chain: its folder, and the names of the values it takes and returns."""

    folder: Path
    reads: tuple[str, ...]
    makes: tuple[str, ...]


@dataclass(frozen=True)
class Chain:
    """Neighbouring programs that run as one; values go from program to program by name.

    ``makes`` names the values that come out; of a single program, they are all it makes. The
    folders lie in the same one.
    """

    links: tuple[Link, ...]
    makes: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """The values that go in: what is read and no program before has made, in that order."""
        made: set[str] = set()
        read: dict[str, None] = {}
        for link in self.links:
            read.update(dict.fromkeys(name for name in link.reads if name not in made))
            made.update(link.makes)
        return tuple(read)


class Backend(ABC):
    """An engine. It is stateless: all state is in what `load` returns."""

    name: ClassVar[str]
    package: ClassVar[str]
    """The distribution that holds the engine, and the module of the same name."""
    file: ClassVar[str]
    """The file of a program's folder that this engine reads."""
    ready_at_once: ClassVar[bool] = True
    """Whether a loaded program runs at full speed from its first or second call."""
    exact: ClassVar[bool] = True
    """Whether it gives the model's own answers, up to rounding. One that does not runs the heads of
    bundles that were calibrated on it, and nothing else."""

    def missing(self) -> str | None:
        """Return what has to be installed before this backend can run, or None."""
        return None if importlib.util.find_spec(self.package) else self.package

    def version(self) -> str:
        """Return the version of the engine that is installed."""
        return importlib.metadata.version(self.package)

    def files(self, folder: str) -> tuple[str, ...]:
        """Return the names of the bundle's files that `load` reads for a program's folder.

        The first one says whether the bundle holds the program for this engine; a bundle may lack
        the others.
        """
        return f"{folder}/{self.file}", f"{folder}/weights.safetensors"

    @abstractmethod
    def load(self, chain: Chain, threads: int) -> Run:
        """Load a chain to run on ``threads`` threads; it takes `Chain.reads`, in their order.

        Raises `BundleError` if the folders' files are not what this engine reads.
        """
