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
    from rich.table import Table

    from offramp.bundle.archive import open_bundle

    opened = open_bundle(bundle)
    manifest = opened.manifest
    if as_json:
        click.echo(manifest.model_dump_json(indent=1))
        return
    table = Table(title=f"{manifest.name}, digest {opened.digest[:12]}")
    for name in ("cut", "boundary", "bytes", "MMAC before", "exit", "levels", "proof"):
        table.add_column(
            name, justify="right" if name in ("cut", "bytes", "MMAC before") else "left"
        )
    macs = 0
    for cut, boundary in enumerate(manifest.boundaries):
        proofs = [p.max_abs_difference for p in manifest.proofs if p.cut == cut]
        table.add_row(
            str(cut),
            ", ".join(f"{t.dtype} {'x'.join(map(str, t.shape))}" for t in boundary.tensors),
            str(boundary.nbytes),
            f"{macs / 1e6:.1f}",
            ", ".join(e.name for e in manifest.exits if e.boundary == cut),
            ", ".join(boundary.levels) or "sends nothing",
            f"{max(proofs):.1e}" if proofs else "",
        )
        macs += manifest.segments[cut].macs if cut < len(manifest.segments) else 0
    Console(soft_wrap=False).print(table)
    for key, text in manifest.card.items():
        click.echo(f"{key}: {text}")
    click.echo(
        f"size: {sum(entry.bytes for entry in manifest.files.values()) / 1e6:.2f} MB unpacked"
    )
