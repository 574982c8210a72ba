"""Choices: a member of a registry by its name, and what a wrong name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from offramp.errors import ConfigError

__all__ = ["choose", "nearest"]

T = TypeVar("T")


def choose(kind: str, name: str, members: Mapping[str, T]) -> T:
    """Return the member of that name; raise `ConfigError` that names the nearest one and all."""
    if name in members:
        return members[name]
    meant = nearest(name, members)
    question = f"did you mean {meant!r}? Choose" if meant else "choose"
    raise ConfigError(f"unknown {kind} {name!r}; {question} one of {', '.join(members)}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like ``word``, or None if none is much like it."""
    return next(iter(get_close_matches(word, known, n=1)), None)
