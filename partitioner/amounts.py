"""Amounts as a user writes them on the command line, with their units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import click

__all__ = ["MEMORY", "SHARE", "TIME", "Range"]

_NUMBER = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*([A-Za-z%]*)\s*")


class Range(click.FloatRange):
    """A finite number from one to another."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; fail where it is none, such as nan, or beyond the range."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):  # that which is no number passes all comparisons
            self.fail(f"{number} is no finite number.", param, ctx)
        return number


class _Amount(click.ParamType[float]):
    """A number with one of some units, each of which is so many of the first one."""

    def __init__(
        self, name: str, units: Mapping[str, float], examples: str, most: float = math.inf
    ) -> None:
        self.name = name
        self._units, self._examples, self._most = units, examples, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, float):
            return value
        match = _NUMBER.fullmatch(str(value))
        unit = self._units.get(match[2]) if match else None
        if match is None or unit is None or float(match[1]) * unit > self._most:
            self.fail(f"{value!r} is no {self.name}; write it as {self._examples}", param, ctx)
        return float(match[1]) * unit


class _Share(_Amount):
    def __init__(self) -> None:
        examples = "0.5% or 0.005, at most 100%"
        super().__init__("share", {"": 1.0, "%": 0.01}, examples, 1.0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the share; fail where 1 may mean one in a hundred as well as all."""
        share = super().convert(value, param, ctx)
        if share == 1.0 and isinstance(value, str) and "%" not in value:
            self.fail(f"{value!r} may be 1% or 100%; write which", param, ctx)
        return share


SHARE = _Share()
TIME = _Amount("time", {"us": 1e-6, "ms": 1e-3, "s": 1.0}, "5ms or 0.005s")
MEMORY = _Amount(
    "memory size",
    {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
    "64MB or 64MiB",
)
