"""A manifest as a table of its cuts, and as lines of what concerns several of them."""

from __future__ import annotations

from itertools import accumulate

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from offramp.bundle.manifest import Boundary, Manifest

__all__ = ["cut_table", "level_lines"]


def cut_table(manifest: Manifest, digest: str) -> Table:
    """Return a table with a row for each cut: what crosses it, and what runs before it."""
    title = Text(f"{manifest.name}, digest {digest[:12]}")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("cut", "boundary", "bytes", "MMAC before", "exit", "proof"):
        number = name in ("cut", "bytes", "MMAC before", "proof")
        table.add_column(name, justify="right" if number else "left", overflow="fold")
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


def level_lines(manifest: Manifest) -> list[str]:
    """Return a line for each set of codec levels, with the cuts that have it."""
    cuts: dict[tuple[str, ...], list[str]] = {}
    for cut, boundary in enumerate(manifest.boundaries):
        cuts.setdefault(tuple(boundary.levels), []).append(str(cut))
    return [
        f"cut {', '.join(at)}: {', '.join(levels) or 'sends nothing'}"
        for levels, at in cuts.items()
    ]


def _describe(boundary: Boundary) -> str:
    return "\n".join(f"{t.dtype} {'x'.join(map(str, t.shape))}" for t in boundary.tensors)
