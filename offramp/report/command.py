"""The sub-command ``offramp report``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["report"]

_IN = click.Path(path_type=Path)
_OUT = click.Path(path_type=Path)


@click.command()
@click.argument("runs", metavar="RUN.jsonl...", nargs=-1, required=True, type=_IN)
@click.option("-o", "--out", type=_OUT, help="Write an HTML report, one file, here.")
@click.option("--json", "json_out", type=_OUT, help="Write the figures as JSON here.")
@click.option(
    "--timeline",
    type=_IN,
    help="The run whose timeline comes first, one of RUNs or another.  [default: offramp's]",
)
def report(
    runs: tuple[Path, ...], out: Path | None, json_out: Path | None, timeline: Path | None
) -> None:
    """Compare RUNs, files that `offramp run --out` has written: a table, and HTML and JSON.

    Exit status 2 for a file that is not such a run; the message names the line.
    """
    from offramp.files import check_writable
    from offramp.report.document import write_json
    from offramp.report.headline import write_headline
    from offramp.report.html import Report, write_html
    from offramp.report.runs import read_run
    from offramp.report.summary import label_runs, summarise
    from offramp.report.table import build_table
    from offramp.sheet import show

    for path in (out, json_out):
        if path:
            check_writable(path)
    compared = tuple(read_run(path) for path in runs)
    featured = read_run(timeline) if timeline else None
    labels = label_runs(compared)
    summaries = [summarise(run, label) for run, label in zip(compared, labels, strict=True)]
    show(build_table(summaries))
    for said in write_headline(summaries).hedging:
        show(said)
    if json_out:
        write_json(compared, json_out)
    if out:
        write_html(Report(compared, featured, (_command(runs, out, timeline),)), out)
        click.echo(f"report: {out}")


def _command(runs: tuple[Path, ...], out: Path, timeline: Path | None) -> str:
    from shlex import join

    first = ["--timeline", str(timeline)] if timeline else []
    return join(["offramp", "report", *map(str, runs), *first, "-o", str(out)])
