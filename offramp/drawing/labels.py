"""Labels: what a drawing writes of blocks, sizes and work."""

from __future__ import annotations

from offramp.drawing.blocks import Block

__all__ = ["block_facts", "block_label", "count_operations", "in_bytes", "in_macs", "shorten"]

_MOST_CHARACTERS = 34


def block_label(block: Block) -> str:
    """Return a block's operations, each named once, as far as there is room."""
    if block.segment < 0:
        return shorten(block.value.name, _MOST_CHARACTERS)
    names = dict.fromkeys(one.op.partition(".")[0].strip("_") for one in block.operations)
    return shorten(", ".join(names), _MOST_CHARACTERS)


def block_facts(block: Block) -> str:
    """Return how many operations a block gathers and how much they compute, if that is anything."""
    facts = [count_operations(len(block.operations))] if len(block.operations) > 1 else []
    return ", ".join(facts + ([in_macs(block.macs)] if block.macs else []))


def count_operations(count: int) -> str:
    """Return a number of operations in words."""
    return f"{count} operation{'s' if count != 1 else ''}"


def in_macs(macs: int) -> str:
    """Return multiply-adds with their unit."""
    return _scaled(macs, "MAC")


def in_bytes(size: int) -> str:
    """Return a size with its unit."""
    return _scaled(size, "B")


def shorten(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters; a longer one ends in an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _scaled(amount: int, unit: str) -> str:
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= scale:
            return f"{amount / scale:.3g} {prefix}{unit}"
    return f"{amount} {unit}"
