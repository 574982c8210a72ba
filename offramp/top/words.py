"""Words: amounts of a view as people read them, left out where they are not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.text import Text

from offramp.names import printable
from offramp.quantities import figure

__all__ = ["count", "each_second", "joined", "known", "shares"]


def known(form: str, amount: float | None, say: Callable[[float], str]) -> str:
    """Return an amount in a form of words; "" if it is not known."""
    return "" if amount is None else form.format(say(amount))


def count(amount: float | None, what: str) -> str:
    """Return how many there are of what, which is named in the plural."""
    noun = what.removesuffix("s") if amount == 1 else what
    return known(f"{{}} {noun}", amount, figure)


def each_second(rate: float | None, what: str) -> str:
    """Return how many there are in a second."""
    return known(f"{{}} {what}/s", rate, figure)


def joined(*words: str) -> Text:
    """Return a line of what there is to say."""
    return Text(printable("   ".join(filter(None, words))))


def shares(parts: Mapping[str, float]) -> str:
    """Return parts of a whole with their names, the greatest first."""
    total = sum(parts.values())
    ranked = sorted(parts.items(), key=lambda part: (-part[1], part[0]))
    return printable(", ".join(f"{name} {amount / total:.0%}" for name, amount in ranked))
