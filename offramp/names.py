"""Names: what a model or an exit may be called; they come from strangers and go to terminals."""

from __future__ import annotations

__all__ = ["MAX_NAME", "check_name"]

MAX_NAME = 200
"""The most characters of a name."""


def check_name(name: str) -> str:
    """Return a name; raise `ValueError` if it is blank, too long or cannot be printed."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name.isspace():
        shown = repr(name[:40]) + ("..." if len(name) > 40 else "")
        raise ValueError(f"{shown} is no name: it takes 1 to {MAX_NAME} printable characters")
    return name
