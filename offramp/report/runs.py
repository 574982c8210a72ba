"""Run files: the JSON lines that ``offramp run --out`` writes, read back and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from offramp.errors import ConfigError
from offramp.files import read_file
from offramp.report.lines import (
    LINES,
    Line,
    LinkLine,
    LoadLine,
    PhaseField,
    PlanLine,
    ResultLine,
    RunLine,
)
from offramp.settings import describe_error

__all__ = ["Run", "parse_run", "read_run"]


@dataclass(frozen=True)
class Run:
    """One run of the agent: its opening, every sample's result, and what happened meanwhile.

    ``name`` is the file's stem. ``phases`` is empty if nobody wrote down what the link truly was.
    """

    name: str
    opening: RunLine
    results: tuple[ResultLine, ...]
    plans: tuple[PlanLine, ...] = ()
    loads: tuple[LoadLine, ...] = ()
    links: tuple[LinkLine, ...] = ()
    phases: tuple[PhaseField, ...] = ()

    @property
    def end_s(self) -> float:
        """When the last sample was done with, from the run's start."""
        return max(result.arrived_s + result.latency_s for result in self.results)


def read_run(path: Path) -> Run:
    """Read a run file; raise `ConfigError` that names the file and the line that is wrong."""
    return parse_run(read_file(path).split(b"\n"), str(path))


def parse_run(lines: Iterable[bytes], origin: str) -> Run:
    """Read a run's lines; blank ones and those of an unknown kind are skipped."""
    found: dict[str, list[Any]] = {kind: [] for kind in LINES}
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        kind, line = _parse_line(text, f"{origin}, line {number}")
        if line is None:
            continue
        if kind == "run" and found["run"]:
            raise ConfigError(f"{origin}, line {number}: a second run begins; a file holds one run")
        found[kind].append(line)
    for kind in ("run", "result"):
        if not found[kind]:
            raise ConfigError(
                f"{origin}: there is no line of kind {kind!r}; "
                "name a file that offramp run --out has written"
            )
    return Run(
        name=Path(origin).stem,
        opening=found["run"][0],
        results=tuple(found["result"]),
        plans=tuple(found["plan"]),
        loads=tuple(found["load"]),
        links=tuple(found["link"]),
        phases=tuple(phase for line in found["phases"] for phase in line.phases),
    )


def _parse_line(text: bytes, where: str) -> tuple[str, Line | None]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{where}: not JSON; if the run was cut off here, remove the line"
        ) from None
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise ConfigError(f"{where}: not an object with a kind, as offramp run writes them")
    if kind not in LINES:
        return kind, None
    try:
        return kind, LINES[kind].model_validate(value)
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe_error(error)}") from None
