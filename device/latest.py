"""The latest sample that the server keeps, from which the next ones may go as their changes."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.boundary_codec import References

__all__ = ["Kept", "Latest"]


@dataclass(frozen=True)
class Kept:
    """A sample that both ends know: its id, the cut at which it crossed, and what it left."""

    id: int
    cut: int
    references: References


class Latest:
    """The latest sample of a connection that the server said it keeps.

    The head asks on its own thread, the connection tells on another: each reads or sets one
    attribute.
    """

    def __init__(self) -> None:
        self._kept: Kept | None = None

    def at(self, cut: int) -> Kept | None:
        """Return the latest sample, if it crossed at this cut."""
        kept = self._kept
        return kept if kept and kept.cut == cut else None

    def keep(self, kept: Kept) -> None:
        """Take in that the server keeps a sample; answers may come in any order."""
        if self._kept is None or self._kept.id < kept.id:
            self._kept = kept

    def forget(self) -> None:
        """Take in that the server may keep nothing any more."""
        self._kept = None
