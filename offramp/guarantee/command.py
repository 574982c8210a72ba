"""The sub-command ``offramp calibrate``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

__all__ = ["calibrate"]


def _share(text: str) -> float:
    """Return a share of 1 that is written as 0.005 or 0.5%."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
    if not match:
        raise click.BadParameter(f"{text!r} is no share; write it as 0.5% or 0.005")
    return float(match[1]) / (100 if match[2] else 1)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--data",
    metavar="MODULE:FUNCTION",
    help="Labelled samples that were not trained on: a function that returns (inputs, labels) as "
    "arrays.  [default: those that the bundle was compiled with]",
)
@click.option("--policy", help="Exit policy.  [default: the bundle's]")
@click.option(
    "--max-accuracy-drop",
    type=_share,
    metavar="SHARE",
    default="1%",
    show_default=True,
    help="How far the accuracy may be below the whole model's, as a share of all samples.",
)
@click.option(
    "--confidence",
    type=_share,
    metavar="SHARE",
    default="0.95",
    show_default=True,
    help="The probability that this holds.",
)
@click.option("--seed", default=0, show_default=True, help="Seed by which samples are parted.")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The bundle to write: the same with its guarantee.",
)
def calibrate(bundle: Path, out: Path, data: str | None, **options: Any) -> None:
    """Choose BUNDLE's exit thresholds so that its accuracy is guaranteed.

    Some samples choose thresholds for all exits together, for every cut and codec level worth
    using; others test them. Devices that run the new bundle make only plans that passed.

    \b
    offramp calibrate my.offramp --data mynet:held_out \\
        --max-accuracy-drop 0.5% --confidence 0.95 -o safe.offramp
    """
    from rich.console import Console

    from offramp.bundle import open_bundle
    from offramp.extras import require_extra
    from offramp.files import check_writable
    from offramp.guarantee.calibrating import Wish, promise_accuracy, recorded
    from offramp.guarantee.certificate import Promise
    from offramp.guarantee.tables import exit_table, plan_table

    promise = Promise(options["max_accuracy_drop"], options["confidence"])
    check_writable(out)
    require_extra("compile", "scipy")
    opened = open_bundle(bundle)

    def say(line: str) -> None:
        click.echo(line, err=True)

    recording = recorded(opened, data, say)
    wish = Wish(promise, options["policy"] or opened.manifest.policy, options["seed"])
    manifest, digest = promise_accuracy(opened, recording, wish, out)
    console = Console(soft_wrap=True)
    console.print(exit_table(manifest, recording))
    console.print(plan_table(manifest, recording.calibration))
    say(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB, digest {digest[:12]})")
