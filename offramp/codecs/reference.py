"""References: what is kept of a sample, so that a later one of its stream goes as its change."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.tensors import Array

__all__ = ["Reference"]


@dataclass(frozen=True, eq=False)
class Reference:
    """The codes of a tensor, int16, as the codec of that id wrote them."""

    codec_id: int
    codes: Array
