"""Graphs of operations to plan: shapes of real networks at any size, and small random ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offramp.cuts.dag import Dag
from offramp.cuts.joint import Exit

__all__ = ["SHAPES", "random_graph", "shaped_graph"]

Reads = list[tuple[int, ...]]
Dice = np.random.Generator
IMAGE_BYTES = 224 * 224 * 3


def chain(count: int, dice: Dice) -> Reads:
    return [(), *((at,) for at in range(count - 1))]


def resnet(count: int, dice: Dice) -> Reads:
    """Three operations a block beside a shortcut, which in every fourth block is an operation."""
    reads: Reads = [()]
    while len(reads) < count:
        at = len(reads) - 1
        reads += [(at,), (at + 1,), (at + 2,)]
        if dice.random() < 0.25:
            reads += [(at,), (at + 3, at + 4)]
        else:
            reads += [(at, at + 3)]
    return reads[:count]


def inception(count: int, dice: Dice) -> Reads:
    """Four branches of one to three operations a block."""
    reads: Reads = [()]
    while len(reads) < count:
        first, ends = len(reads) - 1, []
        for _ in range(4):
            end = first
            for _ in range(int(dice.integers(1, 4))):
                reads.append((end,))
                end = len(reads) - 1
            ends.append(end)
        reads.append(tuple(ends))
    return reads[:count]


def densenet(count: int, dice: Dice) -> Reads:
    """Blocks of 32 operations that read all earlier ones of the block."""
    reads: Reads = [()]
    while len(reads) < count:
        first = len(reads) - 1
        reads += [tuple(range(first, first + 1 + at)) for at in range(33)]
    return reads[:count]


def skips(count: int, dice: Dice) -> Reads:
    """A chain with two random skips of up to 50 operations at each."""
    return [(), *(_some(dice, at, 50, 2, {at - 1}) for at in range(1, count))]


def lanes(count: int, dice: Dice) -> Reads:
    """Four chains side by side that exchange values now and then: no pivot but both ends."""
    reads: Reads = [(), *[(0,)] * 4]
    while len(reads) < count:
        at = len(reads)
        other = dice.random() < 0.1
        reads.append(_some(dice, at, 8, int(other), {at - 4}))
    return reads


def wired(count: int, dice: Dice) -> Reads:
    """Each reads one to three of the eight before it at random (Xie et al., ICCV 2019)."""
    return [(), *(_some(dice, at, 8, int(dice.integers(1, 4)), set()) for at in range(1, count))]


def woven(count: int, dice: Dice) -> Reads:
    """Each reads about ten of the sixteen before its neighbour: dense, and without a pivot."""
    return [(), (0,), *(_some(dice, at - 1, 16, 16, set()) for at in range(2, count))]


SHAPES: dict[str, Callable[[int, Dice], Reads]] = {
    "chain": chain,
    "ResNet-like": resnet,
    "Inception-like": inception,
    "DenseNet-like": densenet,
    "random skips": skips,
    "four lanes": lanes,
    "randomly wired": wired,
    "densely woven": woven,
}


def shaped_graph(shape: str, count: int, dice: Dice, *, uneven: bool) -> Dag:
    """A model of 20 ms on the server whose values shrink; the device is slower.

    By a factor of 8, or ``uneven``: by 0.5, 2, 8 or 20 at each operation.
    """
    reads = SHAPES[shape](count, dice)
    server_s = dice.lognormal(0, 0.7, count)
    server_s *= 0.020 / server_s[1:].sum()
    device_s = server_s * (dice.choice([0.5, 2, 8, 20], count) if uneven else 8.0)
    out_bytes = dice.lognormal(0, 0.6, count) * 4e5 * np.exp(-3 * np.arange(count) / count)
    server_s[0], device_s[0], out_bytes[0] = np.inf, 0.0, IMAGE_BYTES
    return Dag(tuple(reads), device_s, server_s, out_bytes)


def random_graph(most: int, dice: Dice) -> tuple[Dag, list[Exit]]:
    """A graph of up to ``most`` operations in one to three parts, an exit behind each but the last.

    Some values may not cross, some operations run on one side alone, some nobody reads.
    """
    count, inputs = int(dice.integers(5, most + 1)), int(dice.integers(1, 3))
    necks = sorted(dice.choice(np.arange(inputs, count - 1), int(dice.integers(0, 3)), False))
    reads: Reads = [()] * inputs
    first = 0
    for at in range(inputs, count):
        made = range(first, at)
        some = set(dice.choice(made, min(int(dice.integers(1, 4)), len(made)), False).tolist())
        if at in necks:  # whatever comes before passes through it
            read = {maker for reader in reads for maker in reader}
            some |= {maker for maker in range(at) if maker not in read}
            first = at
        elif dice.random() < 0.3:  # a skip past the neck
            some.add(int(dice.integers(0, at)))
        reads.append(tuple(sorted(some)))
    server_s, device_s = dice.integers(0, 50, (2, count)) / 1000
    out_bytes = np.where(dice.random(count) < 0.1, np.inf, dice.integers(0, 100_000, count) * 1.0)
    bound = dice.random(count)
    server_s[bound < 0.03], device_s[bound > 0.97] = np.inf, np.inf
    server_s[:inputs], device_s[:inputs] = np.inf, 0.0
    out_bytes[:inputs] = dice.integers(1, 100_000, inputs)
    heads = dice.integers(0, 10, (2, len(necks))) / 1000
    exits = [Exit(int(at), *map(float, times)) for at, times in zip(necks, heads.T, strict=True)]
    return Dag(tuple(reads), device_s, server_s, out_bytes), exits


def _some(dice: Dice, before: int, reach: int, count: int, always: set[int]) -> tuple[int, ...]:
    """``always`` and up to ``count`` random ones of the ``reach`` before an operation."""
    drawn = dice.integers(max(0, before - reach), before, count)
    return tuple(sorted(always | set(drawn.tolist())))
