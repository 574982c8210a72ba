"""References: what is kept of a sample, so that a later one of its stream goes as its change."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.tensors import Array

__all__ = ["MOST_BYTES", "WINDOW", "Reference"]

MOST_BYTES = 1 << 18
"""The most that is kept of a sample. No changes are learnt of tensors whose codes take more."""
WINDOW = 8
"""A receiver that says it keeps a sample keeps it until so many later ones have come at least."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The codes of a tensor, int16, as the codec of that id wrote them.

    ``whole_bytes`` is what the payload took when a sample last went whole, 0 where that is not
    known.
    """

    codec_id: int
    codes: Array
    whole_bytes: int = 0
