"""Targets: what reads bytes from outside, and how it is attacked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offramp.errors import OfframpError

__all__ = ["Attack", "Target", "WrongError", "of_file"]


class WrongError(Exception):
    """A reader took bytes for what they are not."""


@dataclass(frozen=True)
class Attack:
    """A reader, and what its inputs are made from.

    ``read`` takes any bytes: it returns once it has read them, and raises one of ``refusals`` if
    they are wrong. Whatever else it does is a finding. Most of the ``seeds`` it reads.
    """

    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = (OfframpError,)


@dataclass(frozen=True)
class Target:
    """Something that reads bytes from outside; ``readers`` are the modules that do.

    ``build`` makes the attack, given an empty folder for files. Of many inputs a target gets a
    share by ``weight``: how many it reads in the time that the slowest one takes for one.
    """

    name: str
    readers: tuple[str, ...]
    build: Callable[[Path], Attack]
    weight: int = 1


def of_file(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of bytes that puts them into a file and reads that."""

    def read_bytes(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return read_bytes
