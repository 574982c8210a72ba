"""The latest sample that the server keeps, from which the next ones may go as their changes."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.boundary_codec import References
from offramp.codecs.reference import WINDOW

__all__ = ["Kept", "Latest"]


@dataclass(frozen=True)
class Kept:
    """A sample that both ends know: its id, the cut at which it crossed, and what it left.

    ``number`` says how many samples were encoded before it.
    """

    id: int
    number: int
    cut: int
    references: References


class Latest:
    """The latest sample of a connection that the server said it keeps.

    The head's thread asks, the connection's tells; a reader sees what was before or what came.
    """

    def __init__(self) -> None:
        self._kept: Kept | None = None

    def at(self, cut: int, number: int) -> Kept | None:
        """Return what the sample ``number`` may refer to, if anything.

        That is the latest one, if it crossed at this cut and the server keeps it for so long.
        """
        kept = self._kept
        if kept is None or kept.cut != cut or number - kept.number > WINDOW:
            return None
        return kept

    def keep(self, kept: Kept) -> None:
        """Take in that the server keeps a sample; answers may come in any order."""
        if self._kept is None or self._kept.id < kept.id:
            self._kept = kept

    def forget(self) -> None:
        """Take in that the server may keep nothing any more."""
        self._kept = None
