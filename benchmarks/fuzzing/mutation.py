"""Mutations: valid bytes are flipped, cut, repeated, overwritten, and mixed with others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

__all__ = ["Mutator"]

_WORD = re.compile(rb"[A-Za-z0-9_.+-]{1,40}")
_EXTREMES = (
    *(b"0", b"-1", b"-0.0", b"1e999", b"1e308", b"nan", b"-inf", b"4294967296", b"9" * 30),
    *(b"9" * 5000, b"null", b"true", b"[]", b"{}", b'""', b"\x00", b"\xff" * 8, b"[" * 1100),
    *(b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"../x", b"\r\n", b"<<", b"&a", b"*a", b"!!python/name:os"),
)
_LONGEST_PART = 64


class Mutator:
    """Alters bytes at random, by what the ``seeds`` hold of the same kind."""

    def __init__(self, seeds: Sequence[bytes]) -> None:
        self._seeds = seeds
        self.longest_bytes = max(2 * max(map(len, seeds)), 4096)
        found = {word for seed in seeds for word in _WORD.findall(seed[: 1 << 16])}
        self._words = sorted(found)[:2000] or [b"0"]
        self._ways: tuple[Callable[[bytearray, Random], None], ...] = (
            *(_flip, _flip, _cut, _repeat, _insert, _overwrite, _remove),
            *(self._splice, self._say_otherwise, self._say_otherwise),
        )

    def any(self, random: Random) -> bytes:
        """Return a seed, altered."""
        return self.alter(random.choice(self._seeds), random)

    def alter(self, data: bytes, random: Random) -> bytes:
        """Return other bytes, most often."""
        altered = bytearray(data)
        for _ in range(random.randrange(1, 4)):
            random.choice(self._ways)(altered, random)
        return bytes(altered[: self.longest_bytes])

    def _splice(self, data: bytearray, random: Random) -> None:
        other = random.choice(self._seeds)
        at, start = _place(data, random), random.randrange(len(other) + 1)
        part = other[start : start + random.choice((_LONGEST_PART, len(other)))]
        data[at : at + random.choice((0, len(part)))] = part

    def _say_otherwise(self, data: bytearray, random: Random) -> None:
        """Put another word, or one that readers stumble over, in the place of one."""
        found = _WORD.search(data, _place(data, random))
        if found:
            pool: Sequence[bytes] = self._words if random.randrange(2) else _EXTREMES
            data[slice(*found.span())] = random.choice(pool)


def _place(data: bytearray, random: Random) -> int:
    return random.randrange(len(data) + 1)


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _cut(data: bytearray, random: Random) -> None:
    del data[_place(data, random) :]


def _repeat(data: bytearray, random: Random) -> None:
    start = _place(data, random)
    part = data[start : start + random.randrange(1, _LONGEST_PART)]
    at = _place(data, random)
    data[at:at] = part * random.choice((1, 1, 1, 40))


def _insert(data: bytearray, random: Random) -> None:
    at = _place(data, random)
    data[at:at] = random.randbytes(random.randrange(1, 9))


def _overwrite(data: bytearray, random: Random) -> None:
    at, noise = _place(data, random), random.randbytes(random.randrange(1, 9))
    data[at : at + len(noise)] = noise


def _remove(data: bytearray, random: Random) -> None:
    start, end = sorted((_place(data, random), _place(data, random)))
    del data[start : min(end, start + random.choice((1, 8, len(data) + 1)))]
