"""Names and texts of strangers: what may be a name, and what of a text a terminal may see."""

from __future__ import annotations

__all__ = ["MAX_NAME", "check_name", "printable"]

MAX_NAME = 200
"""The most characters of a name."""


def check_name(name: str) -> str:
    """Return a name; raise `ValueError` if it is blank, too long or cannot be printed."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name.isspace():
        shown = repr(name[:40]) + ("..." if len(name) > 40 else "")
        raise ValueError(f"{shown} is no name: it takes 1 to {MAX_NAME} printable characters")
    return name


def printable(text: str) -> str:
    """Return a text without what a reader cannot see, or what a terminal or XML takes as orders."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
