"""The sub-command ``offramp demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["demo"]

_QUICK = {"samples": 120, "table_samples": 60, "profile_rounds": 10}


@click.command()
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="Another bundle than the embedded one."
)
@click.option("--samples", type=int, help="Samples of the main job.  [default: 500]")
@click.option(
    "--table-samples", type=int, help="Samples for each strategy of the table.  [default: 150]"
)
@click.option("--rate", "rate_hz", type=float, help="Samples a second.  [default: 15]")
@click.option("--deadline-ms", type=float, help="Time each answer may take.  [default: 150]")
@click.option(
    "--slowdown", type=float, help="Stand for a board slower by this.  [default: that of run]"
)
@click.option("--seed", type=int, help="Draws other test images.  [default: 0]")
@click.option("--quick", is_flag=True, help="Fewer samples: 120, and 60 for each strategy.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/demo-TIME]"
)
def demo(quick: bool, **options: Any) -> None:
    """Show Offramp at work: a device, a link that worsens and fails, and an edge server.

    Three real processes on this machine stream the embedded test images while the link goes from
    good to poor, out and back. Then every strategy does the same, and a table and an HTML report
    set them side by side. Takes about two minutes; --quick less than one.
    """
    from rich.console import Console

    from offramp.demo.main import run_demo
    from offramp.demo.settings import DemoSettings, default_bundle, default_folder
    from offramp.settings import load_settings

    deadline_ms = options.pop("deadline_ms")
    given = {key: value for key, value in options.items() if value is not None}
    given.setdefault("bundle", default_bundle())
    given.setdefault("out", default_folder())
    if deadline_ms is not None:
        given["deadline_s"] = deadline_ms / 1e3
    settings = load_settings(DemoSettings, None, {**(_QUICK if quick else {}), **given})
    try:
        run_demo(settings, Console())
    except KeyboardInterrupt:
        ran = any(settings.out.glob("*.jsonl"))
        kept = f"what ran until now is in {settings.out}" if ran else "nothing ran"
        click.echo(f"interrupted: there is no report; {kept}", err=True)
        raise
