"""Dominance: which threshold vectors of one cut and level no other one matches or beats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.exits.policy import CLOSED
from partitioner.leaving import Leaving, sort_sent_bytes
from partitioner.recorded import Floats

__all__ = ["undominated"]

_EXACT = 1e-9  # sums of shares and bytes are exact but for rounding


def undominated(
    right: Floats, leaving: Leaving, load: tuple[Floats, NDArray[Any]]
) -> NDArray[np.int64]:
    """Return the rows that no other row matches or beats in accuracy and in every latency.

    ``right`` (V, 2) counts right answers without and with a hedge; ``load`` holds the bytes of
    each row in the mean, (V,), and those of each sample, (N,).

    A row is as fast as another if it runs no exit that the other leaves closed, if at each exit
    at least as many samples are gone, and if its k-th longest message is no longer, for all k:
    fewer samples sent can still be more bytes, and fewer bytes one longer message. Where nothing is
    sent, that holds of all.
    """
    bytes_mean, sizes = load
    runs, gone = leaving.grid < CLOSED, leaving.shares.cumsum(axis=1)
    order = np.lexsort((bytes_mean, *-gone.T, *-right.T[::-1]))
    # Of two rows in this order the later one is never the more accurate of the two.
    rivals = np.triu(np.ones((len(order), len(order)), bool), 1)
    for costs in (bytes_mean, -right[:, 1], *-gone.T, *runs.T.astype(np.float64)):
        rivals &= costs[order][:, None] <= costs[order] + _EXACT
    sent: dict[int, NDArray[np.int32]] = {}

    def longest(row: int) -> NDArray[np.int32]:
        if row not in sent:
            sent[row] = sort_sent_bytes(leaving.stays[row : row + 1], sizes)[0]
        return sent[row]

    def beats(rival: int, row: int) -> bool:
        """Tell whether no message is longer; surely not if only samples are sent that row sends."""
        subset = (leaving.stays[rival] <= leaving.stays[row]).all()
        return bool(subset or (longest(rival) <= longest(row)).all())

    stands = np.ones(len(order), bool)
    for at in np.flatnonzero(rivals.any(axis=0)):
        row = int(order[at])
        stands[at] = not any(beats(int(order[by]), row) for by in np.flatnonzero(rivals[:, at]))
    return order[stands]
