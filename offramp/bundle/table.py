"""A manifest as tables of its cuts and segments, and lines of what concerns several of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from offramp.backends import BACKENDS
from offramp.bundle.manifest import Boundary, Manifest
from offramp.bundle.part import device_part, engines_for, engines_of, head_engines
from offramp.bundle.quantised import Quantised, cost_lines, cost_rows
from offramp.quantities import say_bytes

__all__ = ["cut_table", "engine_lines", "level_lines", "print_cost", "segment_table"]


def cut_table(manifest: Manifest, digest: str) -> Table:
    """Return a table with a row for each cut: what crosses it, and what runs before it."""
    table = _table(
        f"{manifest.name}, digest {digest[:12]}",
        ("cut", "boundary", "bytes", "MMAC before", "exit", "proof"),
        numbers=("cut", "bytes", "MMAC before", "proof"),
    )
    before = accumulate((segment.macs for segment in manifest.segments), initial=0)
    for cut, (boundary, macs) in enumerate(zip(manifest.boundaries, before, strict=True)):
        differences = [p.max_abs_difference for p in manifest.proofs if p.cut == cut]
        table.add_row(
            str(cut),
            Text(_describe(boundary)),
            str(boundary.nbytes),
            f"{macs / 1e6:.1f}",
            Text("\n".join(e.name for e in manifest.exits if e.boundary == cut)),
            f"{max(differences):.1e}" if differences else "",
        )
    return table


def segment_table(manifest: Manifest) -> Table:
    """Return a table with a row for each program: its work, its weights, its backends."""
    columns = ("part", "MMAC", "weights", "backends")
    table = _table("segments, exits and bottlenecks", columns, numbers=("MMAC", "weights"))
    names = [f"segment {at}" for at in range(len(manifest.segments))]
    names += [f"exit {spec.name}" for spec in manifest.exits]
    names += [
        f"{part} at cut {at}" for part in ("encoder", "decoder") for at in manifest.bottlenecks
    ]
    for name, program in zip(names, (*manifest.programs, *manifest.decoders), strict=True):
        weights = manifest.files.get(f"{program.folder}/weights.safetensors")
        table.add_row(
            Text(name),
            f"{program.macs / 1e6:.1f}",
            str(weights.bytes if weights else 0),
            Text(", ".join(engines_for(manifest, program.folder)) or "none"),
        )
    return table


def print_cost(console: Console, quantised: Quantised) -> None:
    """Print what quantising costs and gains, as a table and what it leaves open."""
    columns = ("", "float", "int8", "change")
    table = _table("the device's head in int8", columns, numbers=columns[1:])
    for row in cost_rows(quantised):
        table.add_row(*map(Text, row))
    console.print(table)
    for line in cost_lines(quantised):
        console.print(line, highlight=False, markup=False, soft_wrap=not console.is_terminal)


def engine_lines(manifest: Manifest) -> list[str]:
    """Return a line for each backend: what a device with it fetches, and how far it is proven."""
    lines = []
    for name in engines_of(manifest):
        line = f"{name}: for tails alone"
        if name in head_engines(manifest):
            part = device_part(manifest, [BACKENDS[name]])
            line = f"{name}: a device fetches {say_bytes(sum(e.bytes for e in part.values()))}"
        proofs = [proof for proof in manifest.proofs if proof.backend == name]
        if proofs:
            worst = max(proof.max_relative_difference for proof in proofs)
            line += f"; at {len(proofs)} cuts within {worst:.1e} of the whole model's outputs"
        lines.append(line)
    reasons = {
        f"{program.folder} has no program for {name}: {reason}"
        for program in (*manifest.programs, *manifest.decoders)
        for name, reason in program.skipped.items()
    }
    return lines + sorted(reasons)


def level_lines(manifest: Manifest) -> list[str]:
    """Return a line for each set of codec levels, with the cuts that have it."""
    cuts: dict[tuple[str, ...], list[str]] = {}
    for cut, boundary in enumerate(manifest.boundaries):
        cuts.setdefault(tuple(boundary.levels), []).append(str(cut))
    return [
        f"cut {', '.join(at)}: {', '.join(levels) or 'sends nothing'}"
        for levels, at in cuts.items()
    ]


def _table(title: str, columns: Sequence[str], numbers: Collection[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        justify: JustifyMethod = "right" if name in numbers else "left"
        table.add_column(name, justify=justify, overflow="fold")
    return table


def _describe(boundary: Boundary) -> str:
    return "\n".join(f"{t.dtype} {'x'.join(map(str, t.shape))}" for t in boundary.tensors)
