"""Trials: one input after the other, and what became of them."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field

from benchmarks.fuzzing.target import Attack

__all__ = ["LONGEST_S", "MOST_FINDINGS", "Finding", "Tally", "attempt"]

LONGEST_S = 5.0
"""The most that an input may take of the processor."""
MOST_FINDINGS = 5


@dataclass(frozen=True)
class Finding:
    """Bytes with which a reader did what it must not do; ``where`` tells it from others."""

    where: str
    said: str
    data: bytes


@dataclass
class Tally:
    """What became of a target's inputs. Of findings at one place the first is kept."""

    inputs: int = 0
    accepted: int = 0
    longest_s: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether so much is wrong that looking on is of no use."""
        return len(self.findings) >= MOST_FINDINGS

    def note(self, where: str, said: str, data: bytes) -> None:
        """Keep a finding."""
        self.findings.setdefault(where, Finding(where, said, data))


def attempt(attack: Attack, data: bytes, tally: Tally) -> None:
    """Let a reader have an input, and tally what it did with it."""
    began_s = time.thread_time()
    try:
        attack.read(data)
        tally.accepted += 1
    except attack.refusals:
        pass
    except Exception as error:  # whatever it is, it is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
        tally.note(where, f"{where}: {error}"[:500], data)
    took_s = time.thread_time() - began_s
    tally.inputs += 1
    tally.longest_s = max(tally.longest_s, took_s)
    if took_s > LONGEST_S:
        tally.note("slow", f"took {took_s:.3g} s of the processor", data)
