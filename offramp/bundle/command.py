"""The sub-command ``offramp inspect``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["inspect"]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON instead.")
def inspect(bundle: Path, as_json: bool) -> None:
    """Show what BUNDLE holds: segments, boundaries, exits, codec levels, proof and card."""
    from rich.console import Console

    from offramp.bundle.archive import open_bundle
    from offramp.bundle.table import cut_table, level_lines

    opened = open_bundle(bundle)
    manifest = opened.manifest
    if as_json:
        click.echo(manifest.model_dump_json(indent=1))
        return
    console = Console()
    console.print(cut_table(manifest, opened.digest))
    size_bytes = sum(entry.bytes for entry in manifest.files.values())
    card = [f"{key}: {text}" for key, text in manifest.card.items()]
    for line in (*level_lines(manifest), *card, f"size: {size_bytes / 1e6:.2f} MB unpacked"):
        console.print(line, highlight=False, markup=False, soft_wrap=not console.is_terminal)
