"""The sub-command ``offramp inspect``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["inspect"]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--svg", type=click.Path(path_type=Path), help="Draw its graph with the cuts here.")
@click.option("--levels", is_flag=True, help="Print what each codec level takes and costs instead.")
@click.option("--frontier", is_flag=True, help="Print the plans that no other beats instead.")
@click.option("--frontier-svg", type=click.Path(path_type=Path), help="Draw these plans here.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON instead.")
def inspect(
    bundle: Path,
    svg: Path | None,
    levels: bool,
    frontier: bool,
    frontier_svg: Path | None,
    as_json: bool,
) -> None:
    """Show what BUNDLE holds: cuts, segments, exits, backends, codec levels, proof and card."""
    from rich.console import Console

    from offramp.bundle.allowed import allowed_lines
    from offramp.bundle.archive import open_bundle
    from offramp.bundle.frontier import frontier_of, frontier_table
    from offramp.bundle.later_lines import later_lines
    from offramp.bundle.level_table import cheapest_lines, level_table
    from offramp.bundle.table import (
        cut_table,
        engine_lines,
        level_lines,
        print_cost,
        segment_table,
    )
    from offramp.calibration import load_calibration
    from offramp.drawing import draw_bundle, draw_frontier
    from offramp.files import write_file
    from offramp.names import printable
    from offramp.quantities import say_bytes

    opened = open_bundle(bundle)
    manifest = opened.manifest
    if svg is not None:
        write_file(svg, draw_bundle(opened).encode())
    if frontier_svg is not None:
        write_file(frontier_svg, draw_frontier(frontier_of(opened), manifest.name).encode())
    if as_json:
        click.echo(manifest.model_dump_json(indent=1))
        return
    console = Console()
    if levels:
        console.print(level_table(opened))
        for line in cheapest_lines(opened):
            console.print(line, highlight=False, soft_wrap=not console.is_terminal)
        return
    if frontier:
        console.print(frontier_table(frontier_of(opened)))
        return
    console.print(cut_table(manifest, opened.digest))
    console.print(segment_table(manifest))
    if manifest.quantised:
        print_cost(console, manifest.quantised)
    size_bytes = sum(entry.bytes for entry in manifest.files.values())
    promised = [f"exit policy: {manifest.policy}"] if manifest.exits else []
    promised += allowed_lines(manifest.allowed) if manifest.allowed else []
    if any(boundary.later for boundary in manifest.boundaries):
        promised += later_lines(manifest, load_calibration(opened))
    card = [f"{key}: {text}" for key, text in manifest.card.items()]
    size = f"size: {say_bytes(size_bytes)} unpacked"
    for line in (*level_lines(manifest), *engine_lines(manifest), *promised, *card, size):
        console.print(
            printable(line), highlight=False, markup=False, soft_wrap=not console.is_terminal
        )
