"""Judge whether a board answers as another machine does, from what `board.py` wrote on both.

    python same_answers.py REFERENCE.jsonl BOARD.jsonl

Exit status 0 if all answers are the same; else 1, after a line for each difference. The last line
has the figures.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOLERANCE = 1e-4  # of the largest logit; sums in another order differ by about 1e-6 of it


@dataclass
class Record:
    """One machine's lines: answers by plan and sample, logits by sample, exit and class."""

    machine: str = ""
    torch: bool = True
    opening: dict[str, Any] = field(default_factory=dict)
    fetched_bytes: int = 0
    answers: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    logits: dict[int, list[list[float]]] = field(default_factory=dict)

    @property
    def parties(self) -> Counter[str]:
        """How many answers came from exits, from the server and from the device's whole model."""
        return Counter(line.get("by", "nobody").split()[0] for line in self.answers.values())


def read(path: Path) -> Record:
    """Read what `board.py` wrote."""
    record = Record()
    for text in path.read_text().splitlines():
        line = json.loads(text)
        match line["kind"]:
            case "machine":
                record.machine, record.torch = line["machine"], line["torch"]
            case "run":
                record.opening = line
                record.fetched_bytes += line["fetched_bytes"]
            case "result":
                record.answers[record.opening["strategy"], line["id"]] = line
            case "logits":
                record.logits[line["sample"]] = line["rows"]
    return record


def differences(reference: Record, board: Record) -> Iterator[str]:
    """Say each thing that is not as it must be."""
    for record in (reference, board):
        if record.torch:
            yield f"{record.machine}: torch is installed"
        if not record.fetched_bytes:
            yield f"{record.machine}: the bundle was not fetched from the server"
        if missing := {"exit", "server", "device"} - set(record.parties):
            yield f"{record.machine}: no answer by {', '.join(sorted(missing))}"
    if reference.opening.get("digest") != board.opening.get("digest"):
        yield "the bundles differ"
    if set(reference.logits) != set(board.logits):
        yield "logits: the sets of samples differ"
    for at in sorted({*reference.answers, *board.answers}):
        there, here = (outcome(record.answers.get(at)) for record in (reference, board))
        if here != there or here[0] != "ok":
            yield f"plan {at[0]}, sample {at[1]}: {there} there, {here} here"
    gap, allowed = largest_gap(reference, board), TOLERANCE * largest_logit(reference)
    if not gap <= allowed:
        yield f"logits differ by {gap:.2g}, more than {allowed:.2g}"


def outcome(line: dict[str, Any] | None) -> tuple[Any, ...]:
    """Return what must be the same: status, who answered, the answer."""
    return ("missing",) if line is None else (line["status"], line.get("by"), line.get("answer"))


def largest_gap(reference: Record, board: Record) -> float:
    """Return the largest difference between logits of the same sample, exit and class.

    It is infinite where there are none, or one is not a number.
    """
    gaps = [
        abs(a - b)
        for sample in reference.logits.keys() & board.logits.keys()
        for one, other in zip(reference.logits[sample], board.logits[sample], strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    return math.inf if any(math.isnan(gap) for gap in gaps) else max(gaps, default=math.inf)


def largest_logit(record: Record) -> float:
    """Return the logit furthest from 0."""
    return max((abs(a) for rows in record.logits.values() for row in rows for a in row), default=0)


def main(reference_path: str, board_path: str) -> int:
    """Print all differences and the figures."""
    reference, board = read(Path(reference_path)), read(Path(board_path))
    found = list(differences(reference, board))
    equal = sum(
        outcome(line) == outcome(reference.answers.get(at)) for at, line in board.answers.items()
    )
    gap, largest = largest_gap(reference, board), largest_logit(reference)
    parties = ", ".join(f"{count} by {party}" for party, count in sorted(board.parties.items()))
    say(*found)
    say(
        f"{board.machine} against {reference.machine}: {equal} of {len(reference.answers)} answers "
        f"equal ({parties}), logits of {len(board.logits)} samples at most {gap:.1e} apart "
        f"(largest {largest:.3g}), {board.fetched_bytes:,} bytes of bundle fetched"
    )
    return 1 if found else 0


def say(*lines: str) -> None:
    """Print lines."""
    for line in lines:
        print(line)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
