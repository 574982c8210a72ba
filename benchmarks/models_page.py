"""The compatibility table: one outcome a model, as rows, as a last line and as a page."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from partitioner.machine import this_machine

__all__ = ["Outcome", "columns", "row", "summary", "write"]


@dataclass(frozen=True)
class Outcome:
    """What became of a model: ``failure`` is the reason in one sentence, or None.

    Bytes and tensors are those of every boundary, inputs and outputs included; ``engines_s`` are
    seconds of the whole model for one sample, ``skipped`` why an engine cannot run it.
    """

    name: str
    family: str
    compile_s: float
    failure: str | None = None
    operations: int = 0
    boundary_bytes: list[int] = field(default_factory=list)
    tensors: list[int] = field(default_factory=list)
    difference: float = 0.0
    gap: float = 0.0
    engines_s: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def columns(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the table's heads."""
    engines = [f"{name} ms" for name in _engines(outcomes)]
    return ["model", "operations", "cuts", "kB at each cut", "difference", "gap",
            "compile s", *engines]  # fmt: skip


def row(outcome: Outcome, outcomes: Sequence[Outcome]) -> list[str]:
    """Return a model's line of the table."""
    if outcome.failure:
        return [outcome.name, "failed", *[""] * (len(columns(outcomes)) - 2)]
    return [
        outcome.name,
        str(outcome.operations),
        str(len(outcome.boundary_bytes)),
        " ".join(map(_kilobytes, outcome.boundary_bytes, outcome.tensors)),
        f"{outcome.difference:.0e}",
        f"{outcome.gap:.1%}",
        f"{outcome.compile_s:.0f}",
        *(_milliseconds(outcome.engines_s.get(name)) for name in _engines(outcomes)),
    ]


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the benchmark's last line."""
    compiled = [outcome for outcome in outcomes if outcome.failure is None]
    if not compiled:
        return f"0 of {len(outcomes)} compiled"
    return (
        f"{len(compiled)} of {len(outcomes)} compiled, largest relative difference "
        f"{max(o.difference for o in compiled):.0e} (tolerated 1e-03), largest gap "
        f"{max(o.gap for o in compiled):.1%} (aim 0.0%)"
    )


def write(outcomes: Sequence[Outcome]) -> str:
    """Return the page ``docs/models.md``."""
    heads = columns(outcomes)
    today, machine = datetime.date.today(), this_machine()
    parts = [
        _HEAD.format(summary=summary(outcomes), date=today, versions=_versions(), machine=machine)
    ]
    for family in dict.fromkeys(outcome.family for outcome in outcomes):
        rows = [row(outcome, outcomes) for outcome in outcomes if outcome.family == family]
        lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
        parts.append(
            f"## {family.capitalize()}\n" + "\n".join(f"| {' | '.join(r)} |" for r in lines)
        )
    failed = [f"- **{o.name}**: {o.failure}" for o in outcomes if o.failure]
    skipped = [
        f"- **{o.name}** on {name}: {why}" for o in outcomes for name, why in o.skipped.items()
    ]
    parts.append("## What does not compile\n" + ("\n".join(failed) or "Nothing of the above."))
    parts.append("## What an engine cannot run\n" + ("\n".join(skipped) or "Nothing of the above."))
    return "\n\n".join(parts) + "\n"


def _engines(outcomes: Sequence[Outcome]) -> list[str]:
    return sorted({name for outcome in outcomes for name in outcome.engines_s})


def _kilobytes(size: int, tensors: int) -> str:
    return f"{size / 1000:.3g}" + (f" ({tensors})" if tensors > 1 else "")


def _milliseconds(time_s: float | None) -> str:
    return "-" if time_s is None else f"{time_s * 1e3:.3g}"


def _versions() -> str:
    names = ["torch", "transformers", "onnx", "onnxscript", "onnxruntime"]
    names += ["executorch"] if find_spec("executorch") else []
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


_HEAD = """\
# What compiles

{summary}.

Made by `python -m benchmarks.models --write docs/models.md` on {date} with
{versions};
with `--json FILE --rest` it goes on where it was interrupted, as it was for this page.
Each model is built from a configuration with random weights at small width, so nothing is
downloaded, and goes through the steps of `offramp compile`: capture, cuts (at most 8 segments),
export, proof and calibration on 8 random samples. Nothing in a model's code is changed.
`benchmarks/zoo/` holds the models, one line each.

- *operations*: those of the captured graph that run once, inputs included.
- *cuts*: where the model can be split, from `cut=0` (the input is sent) to the last (nothing is).
- *kB at each cut*: what crosses for one sample, uncompressed; in brackets how many tensors, if more
  than one. The last is the answer.
- *difference*: the largest between head + tail and the whole model in torch, over all cuts, engines
  and outputs, as a share of the output's largest magnitude. Above 1e-3 the compiler refuses.
- *gap*: by how much the best of these cuts can be slower than the best of all cuts of the graph, at
  any rate from 10 kbit/s to 10 Gbit/s, for a device that is slower by one factor, whatever that is.
  With a factor for each operation it can be more: docs/design/2026-11-22-general-graphs.md.
- *compile s*: the whole compile, one thread, while other work ran on the machine
  ({machine.processor}, {machine.cores} cores).
- *ms*: the median time of the whole model for one sample on one thread: its segments one after the
  other, or as one program on an engine that compiles what it loads (ExecuTorch, torch.compile),
  which `--engine` adds. At this width an engine's fixed costs rule: it says that the model runs
  there, not which engine is faster at full size. A dash: not timed, or not able to (below)."""
