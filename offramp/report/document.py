"""The report as JSON, for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from offramp.files import write_file
from offramp.report.runs import Run
from offramp.report.setup import find_differences
from offramp.report.summary import label_runs, summarise

__all__ = ["to_document", "write_json"]


def to_document(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the figures of all runs with what they ran on, as plain JSON values."""
    return {
        "format": 1,
        "differences": find_differences(runs),
        "runs": [
            {
                "file": run.name,
                "setup": run.opening.model_dump(mode="json"),
                "summary": asdict(summarise(run, label)),
            }
            for run, label in zip(runs, label_runs(runs), strict=True)
        ],
    }


def write_json(runs: Sequence[Run], path: Path) -> None:
    """Write the document to a file; raise `ConfigError` if it cannot be written."""
    write_file(path, json.dumps(to_document(runs), indent=1).encode() + b"\n")
