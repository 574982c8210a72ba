"""What every benchmark shares: its options, its machine, its last line."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import offramp
from partitioner.machine import this_machine

__all__ = ["BUNDLE", "Options", "build_parser", "finish", "parse", "spread", "tabulate"]

BUNDLE = Path(offramp.__file__).parent / "embedded" / "cluttered_digits.offramp"


@dataclass(frozen=True)
class Options:
    """``quick`` ends within a minute; ``json`` is where to write the figures."""

    quick: bool
    json: Path | None


def parse(name: str, text: str | None) -> Options:
    """Read a benchmark's command line."""
    given = build_parser(name, text).parse_args()
    return Options(given.quick, given.json)


def build_parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=text)
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser


def tabulate(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers come formatted."""
    table = Table(title=title)
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at == 0 else "right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(width=120).print(table)


def spread(values: Sequence[float], scale: float = 1e3) -> str:
    """Return "median (10th to 90th percentile)" of some values, by default s as ms."""
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    low, middle, high = tenths[0], statistics.median(values), tenths[-1]
    return f"{middle * scale:.3g} ({low * scale:.3g} to {high * scale:.3g})"


def finish(name: str, line: str, figures: dict[str, Any], options: Options) -> None:
    """Write the figures and print the last line."""
    machine = this_machine().model_dump()
    print(f"machine: {machine['processor']}, {machine['cores']} cores, {machine['system']}")
    if options.json:
        plain = {"benchmark": name, "machine": machine, "quick": options.quick, **figures}
        options.json.write_text(json.dumps(plain, indent=1) + "\n")
    print(f"{name}: {line}")
