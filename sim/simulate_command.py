"""The command `offramp simulate`: strategies side by side on a scenario, in virtual time."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offramp.errors import ConfigError, OfframpError
from offramp.names import printable
from partitioner.strategy_names import DEPLOYED, SIMULATED, either_of

if TYPE_CHECKING:
    from sim.world.cells import Cell

__all__ = ["simulate"]

_File = click.Path(path_type=Path)


@click.command()
@click.argument("scenario", type=_File)
@click.option(
    "--strategy",
    "names",
    multiple=True,
    default=("offramp",),
    show_default=True,
    help=f"Who decides: {either_of((*DEPLOYED, *SIMULATED))}; may be repeated.",
)
@click.option(
    "--seeds",
    metavar="N|A,B,...",
    help="How many seeds, from the scenario's on, or which (3, is the seed 3 alone).  [default: 1]",
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Processes.  [default: the cores there are]"
)
@click.option("--out", type=_File, help="Folder of the results.  [default: runs/simulate-SCENARIO]")
@click.option("--rows", is_flag=True, help="Write every request, too: cells/RUN.csv.")
def simulate(
    scenario: Path,
    names: tuple[str, ...],
    seeds: str | None,
    jobs: int | None,
    out: Path | None,
    rows: bool,
) -> None:
    """Simulate SCENARIO, a YAML file, under each strategy and seed, and compare them.

    Devices, links and servers run the deployed decision code in virtual time; answers are those of
    the bundle's calibration samples. The same seed gives the same figures. Runs that are finished
    are kept in --out, so that a second start makes only those that are missing.
    """
    from rich.console import Console

    from offramp.extras import require_extra
    from offramp.sheet import show
    from partitioner.objective import HEAD_ALONE

    require_extra("simulate", "simpy")

    from sim.results_table import results_table
    from sim.world.cells import Cell, cell_path, missing, read_cell
    from sim.world.checks import check_scenario
    from sim.world.processes import own_library
    from sim.world.results import gather_results, write_results
    from sim.world.scenario import read_scenario
    from sim.world.setup import describe_scenario
    from sim.world.sources import scenario_digest, scenario_sources

    _refuse_twice("--strategy", names)
    described = read_scenario(scenario)
    if spare := [each.name for each in described.groups if each.agent.objective.spares_memory]:
        show(f"{', '.join(spare)}: {HEAD_ALONE}", Console(stderr=True))
    numbers = _numbers(seeds, described.seed)
    library = own_library()
    sources = scenario_sources(scenario, described, library)
    digest = scenario_digest(sources)
    folder = out or Path("runs") / f"simulate-{scenario.stem}"
    cells = [
        Cell(scenario, name, seed, cell_path(folder / "cells", digest, name, seed), rows, sources)
        for name in names
        for seed in numbers
    ]
    _make(folder / "cells")
    todo = missing(cells)
    if todo:
        check_scenario(scenario, described, numbers, library)
    _remove_results(folder)
    failures = _run_missing(cells, todo, jobs or _cores())
    runs = [figures for cell in cells if (figures := read_cell(cell)) is not None]
    if not runs:
        raise failures[0][1]
    results = gather_results(digest, describe_scenario(described, library), runs)
    write_results(folder, results)
    show(results_table(runs))
    show("means of a request; bytes are all that went out for it, its share of the probes too")
    click.echo(f"figures: {folder / 'results.json'}, {folder / 'results.csv'}")
    _write_report(results, folder / "report.html")
    if failures:
        raise click.exceptions.Exit(_say_what_failed(failures))


def _write_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the report, or say what to install for it: the figures are there without it."""
    from offramp.report.page import require_packages
    from sim.report.page import write_report

    try:
        require_packages()
    except ConfigError as error:
        click.echo(f"no report: {error}; the same command makes it then", err=True)
        return
    write_report(results, path)
    click.echo(f"report: {path}")


def _numbers(text: str | None, first: int) -> list[int]:
    """Return the seeds that an option names."""
    words = [word for word in (text or "1").replace(" ", "").split(",") if word]
    if not words or not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(f"--seeds {text!r} is neither a number of seeds nor seeds with commas")
    numbers = [int(word) for word in words]
    if "," in (text or ""):
        _refuse_twice("--seeds", [str(number) for number in numbers])
        return numbers
    if not 1 <= numbers[0] <= 10_000:
        raise ConfigError(f"--seeds {text} is no number of seeds; give 1 to 10000")
    return list(range(first, first + numbers[0]))


def _refuse_twice(option: str, values: Sequence[str]) -> None:
    """Raise `ConfigError` if a value is given twice: its run would be counted once or twice."""
    for at, value in enumerate(values):
        if value in values[:at]:
            raise ConfigError(f"{option} names {value} twice; name each once")


def _run_missing(
    cells: Sequence[Cell], todo: Sequence[Cell], jobs: int
) -> list[tuple[Cell, BaseException]]:
    """Run the cells to do, of all; return those that failed, with what they raised."""
    from sim.runs_progress import show_end, show_progress, show_under_way, warn_of_slow_ones
    from sim.world.cells import missing
    from sim.world.processes import run_cells

    if not todo:
        return []
    warn_of_slow_ones(todo)
    failures, waiting = [], list(todo)
    try:
        runs = closing(run_cells(todo, jobs))
        with _heeds_sigterm(), show_progress(len(todo), len(cells)) as bar, runs as ended:
            show_under_way(bar, waiting[:jobs])
            for cell, error in ended:
                waiting.remove(cell)
                show_end(bar, cell, "done" if error is None else "failed")
                show_under_way(bar, waiting[:jobs])  # processes take them in this order
                if error is not None:
                    failures.append((cell, error))
    except (KeyboardInterrupt, SystemExit):
        kept = len(cells) - len(missing(cells))
        place = cells[0].path.parent
        click.echo(
            f"interrupted: {kept} of {len(cells)} runs are finished and kept in {place}; "
            "the same command makes the rest",
            err=True,
        )
        raise
    return failures


@contextmanager
def _heeds_sigterm() -> Iterator[None]:
    """Unwind when told to end, so that no process is left behind."""

    def interrupt(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say_what_failed(failures: Sequence[tuple[Cell, BaseException]]) -> int:
    """Say on standard error which runs failed and why; return the exit status."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for cell, error in failures:
        text = str(error) if isinstance(error, OfframpError) else repr(error)
        reasons.setdefault((cell.strategy, " ".join(text.split())), []).append(cell.seed)
    for (strategy, text), seeds in reasons.items():
        numbers = ", ".join(map(str, sorted(seeds)))
        click.echo(f"{strategy} failed with seed {numbers}: {printable(text)}", err=True)
    click.echo("what failed is not in the figures; the same command tries it again", err=True)
    return getattr(failures[0][1], "exit_code", OfframpError.exit_code)


def _remove_results(folder: Path) -> None:
    """Remove what an earlier call made of its runs, which stay: it is not of this one."""
    for name in ("results.json", "results.csv", "report.html"):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder / name}: cannot be removed ({error.strerror})") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made ({error.strerror}); name another folder with --out"
        ) from None


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))
