"""The demo: samples, a profile, the main job, each strategy on the same link, and the report."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import join
from typing import Any

from rich.console import Console

from offramp.demo.live import Narrator
from offramp.demo.samples import check_bundle, write_part, write_samples
from offramp.demo.settings import STRATEGIES, DemoSettings
from offramp.demo.steps import Job, measure_profile, run_job
from offramp.errors import ConfigError
from offramp.extras import require_extra
from offramp.progress import sample_progress
from offramp.quantities import figure, say_time
from offramp.report.html import Report, write_html
from offramp.report.runs import read_run
from offramp.report.summary import summarise
from offramp.report.table import build_table
from offramp.sheet import show

__all__ = ["run_demo"]


def run_demo(settings: DemoSettings, console: Console) -> Path:
    """Run the demo and return the report's path; no process outlives it."""
    require_extra("demo", "sklearn", "matplotlib", "jinja2")
    check_bundle(settings.bundle)
    _make_folder(settings)
    main, part = _draw(settings, console)
    with _unwinds_on_signals():
        with console.status("measuring what the network costs on this machine"):
            measure_profile(settings)
        show("\nMain job: offramp, while the link goes good, poor, out and back", console)
        featured = _run(settings, Job("main", "offramp", main, settings.samples), console)
        show("\nEvery strategy: the same samples, the same link, made shorter", console)
        runs = [
            _run(settings, Job(name, name, part, settings.table_samples), console)
            for name in STRATEGIES
        ]
    return _report(settings, featured, runs, console)


def _draw(settings: DemoSettings, console: Console) -> tuple[Path, Path]:
    """Write the samples; return the files of all of them and of the table's.

    No child runs yet, and much is imported: Ctrl-C is still that of `offramp.cli`.
    """
    main, part = settings.out / "samples.npz", settings.out / "samples-table.npz"
    with sample_progress(console) as bar:
        task = bar.add_task("drawing test images", total=settings.samples, status="")
        write_samples(
            main, settings.samples, settings.seed, lambda drawn: bar.update(task, advance=drawn)
        )
    write_part(main, part, settings.table_samples)
    return main, part


def _run(settings: DemoSettings, job: Job, console: Console) -> Path:
    """Run a job behind a progress bar; the main job's events are told one by one."""
    narrator = Narrator()
    with sample_progress(console) as bar:
        task = bar.add_task(job.strategy, total=job.count, status="starting")

        def hear(line: dict[str, Any]) -> None:
            for event in narrator.tell(line):
                if job.name == "main":
                    show(event, bar.console)
            bar.update(task, completed=narrator.results, status=narrator.status())

        run_file = run_job(settings, job, hear)
    if not console.is_terminal:
        told = f"{narrator.results} samples; of the last ones: {narrator.status()}"
        show(f"{job.strategy}: {told}", console)
    return run_file


def _report(
    settings: DemoSettings, featured: Path, run_files: list[Path], console: Console
) -> Path:
    runs = tuple(read_run(path) for path in run_files)
    opening = runs[0].opening
    show(
        f"\nThe device is emulated {figure(opening.slowdown)} times slower than this machine, the "
        f"server is not; deadline {say_time(settings.deadline_s)}; "
        f"{settings.table_samples} samples a strategy",
        console,
    )
    show(build_table([summarise(run) for run in runs]), console)
    out = settings.out / "report.html"
    again = join(["offramp", "report", *map(str, run_files), "--timeline", str(featured)])
    commands = (settings.command(), f"{again} -o {out}")
    write_html(Report(runs, read_run(featured), commands), out)
    show(f"report: {out}", console)
    return out


def _make_folder(settings: DemoSettings) -> None:
    try:
        settings.logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{settings.out}: cannot be made ({error.strerror}); name another folder with --out"
        ) from None
    if any(settings.out.glob("*.jsonl")):
        raise ConfigError(f"{settings.out} holds another demo's runs; name a new folder with --out")


@contextmanager
def _unwinds_on_signals() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C unwind, whatever they did before, so that children end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)),
    }
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
