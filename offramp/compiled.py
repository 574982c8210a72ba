"""Loops over arrays, compiled by numba: where planning and codecs go element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from numba import njit

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called; keep that for later processes if it can be."""
    try:
        return cast(Callable[..., Any], njit(nogil=True, cache=True)(function))
    except RuntimeError:  # there is no folder to keep it in
        return cast(Callable[..., Any], njit(nogil=True)(function))
