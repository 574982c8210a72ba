"""Blocks: runs of operations that are drawn as one box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from offramp.drawing.outline import Operation

__all__ = ["Block", "collapse"]


@dataclass(frozen=True)
class Block:
    """Operations of one segment, each of which alone reads the one before.

    ``inputs`` are the places of the blocks whose values the first one reads. Only the last one's
    value is read by other blocks.
    """

    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]

    @property
    def segment(self) -> int:
        """The segment that it runs in; -1 for an input of the model."""
        segment = self.operations[0].segment
        return -1 if segment is None else segment

    @property
    def value(self) -> Operation:
        """The last operation, whose value others read."""
        return self.operations[-1]

    @property
    def macs(self) -> int:
        """The multiply-adds of all operations, for one sample."""
        return sum(operation.macs for operation in self.operations)


def collapse(outline: Sequence[Operation], named: Collection[str] = ()) -> list[Block]:
    """Gather an outline into as few blocks as may be; values in ``named`` end theirs.

    Blocks follow the blocks that they read.
    """
    readers = Counter(name for operation in outline for name in set(operation.inputs))
    runs: list[list[Operation]] = []
    run_of: dict[str, int] = {}
    for operation in outline:
        before = _only(operation)
        at = run_of.get(before, -1)
        if (
            before
            and readers[before] == 1
            and before not in named
            and runs[at][-1].segment == operation.segment
        ):
            runs[at].append(operation)
        else:
            at = len(runs)
            runs.append([operation])
        run_of[operation.name] = at
    return [
        Block(tuple(run), tuple(sorted({run_of[name] for name in run[0].inputs}))) for run in runs
    ]


def _only(operation: Operation) -> str:
    """Return the one value that an operation reads, or nothing if it reads more or none."""
    names = set(operation.inputs)
    return names.pop() if len(names) == 1 else ""
