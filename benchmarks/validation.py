"""Is the simulator right? Scenarios run live, with real processes, and simulated, side by side.

Live, a server, the link shaper and the agent of each device are processes of their own on this
machine; the agent stands for a slower board. The simulator gets the same scenario: link, seeds,
arrivals, samples, bundle, and the profile measured here. What a sample takes beside computing and
link is measured on live runs over a link that does nothing, and drawn from that. Exits with 1 if a
prediction of any scenario is beyond what is required.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import BUNDLE, Options, build_parser, finish, spread, tabulate
from benchmarks.validation_cases import Case, build_cases, path_case
from benchmarks.validation_figure import BAND, draw
from benchmarks.validation_live import LiveRun
from benchmarks.validation_path import LivePath, measure_loading_s, measure_path
from benchmarks.validation_score import QUANTILES, Score, beyond, compare
from benchmarks.validation_twin import simulate_case
from offramp.bundle import Bundle, open_bundle
from offramp.report.runs import Run
from partitioner.measure import measure_profile
from partitioner.profile import Profile
from sim.world.library import Library

_SVG = '<?xml version="1.0" encoding="utf-8"?>\n'
_PATH_REQUESTS = 100


def main() -> None:
    given = _parse()
    rounds, seconds = (1, 5.0) if given.quick else (3, 14.0)
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(given.keep or folder))
        cases = build_cases(bench.profile_file, _trace(given), seconds)
        for at in range(rounds):
            bench.take_turns(cases, at)
        path = measure_path(bench.path_runs, bench.profile, measure_loading_s(bench.bundle))
        scores = [bench.score(case, path) for case in cases]
    _show(path, scores)
    if given.figure:
        given.figure.write_text(_SVG + draw(scores) + "\n")
    worst = max(abs(score.error(q)) for score in scores for q in QUANTILES.values())
    failed = beyond(scores, BAND)
    finish(
        "validation",
        f"predicted within {worst:.1%} of the measured median and p95 in {len(scores)} scenarios "
        f"(required {BAND:.0%}){'; beyond it: ' * bool(failed)}{'; '.join(failed)}",
        {"path": asdict(path), "cases": _plain(scores)},
        Options(given.quick, given.json),
    )
    if failed:
        raise SystemExit(1)


def _parse() -> argparse.Namespace:
    parser = build_parser("validation", __doc__)
    parser.add_argument("--uplink", type=Path, help="a recorded rate for the mobile scenario")
    parser.add_argument("--downlink", type=Path, help="that of the downlink; default the uplink's")
    parser.add_argument("--figure", type=Path, help="draw predicted against measured here, SVG")
    parser.add_argument("--keep", type=Path, help="keep the files of all live runs here")
    given = parser.parse_args()
    if given.downlink and not given.uplink:
        parser.error("--downlink goes with --uplink")
    return given


def _trace(given: argparse.Namespace) -> tuple[Path, Path] | None:
    if given.uplink is None:
        return None
    return given.uplink.resolve(), (given.downlink or given.uplink).resolve()


@dataclass
class _Bench:
    """The live runs of all cases, in ``folder``, and the profile that was measured before."""

    folder: Path
    library: Library = field(default_factory=Library)
    path_runs: list[Run] = field(default_factory=list)
    runs: dict[str, list[dict[str, Run]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bundle: Bundle = open_bundle(BUNDLE)
        self.profile: Profile = measure_profile(self.bundle, rounds=30, report=print)
        self.profile_file.write_text(self.profile.model_dump_json())

    @property
    def profile_file(self) -> Path:
        return (self.folder / "profile.json").resolve()

    def take_turns(self, cases: list[Case], seed: int) -> None:
        """Run the path and every case live once; each round has samples and seeds of its own."""
        path = path_case(self.profile_file, _PATH_REQUESTS)
        self.path_runs.extend(self._run(path, seed).values())
        for case in cases:
            print(f"round {seed + 1}: {case.name}", flush=True)
            self.runs.setdefault(case.name, []).append(self._run(case, seed))

    def score(self, case: Case, path: LivePath) -> Score:
        """Return how far the prediction of a case is from its live runs."""
        rounds = []
        for seed, live in enumerate(self.runs[case.name]):
            predicted = simulate_case(case, seed, self.library, path)
            rounds.append(compare(predicted, live, case.skipped))
        return Score(case.name, rounds)

    def _run(self, case: Case, seed: int) -> dict[str, Run]:
        drawn = simulate_case(case, seed, self.library)
        samples = {device: [one.sample for one in each] for device, each in drawn.items()}
        folder = self.folder / f"{case.name.replace(' ', '-')}-{seed}"
        return LiveRun(case.scenario, case.strategy, seed, folder).run(samples)


def _show(path: LivePath, scores: list[Score]) -> None:
    print(
        f"a call beside computing and link takes {spread(path.rpc_s)} ms, hand-overs on the device "
        f"{path.handover_s * 1e3:.3g} ms, loading the first slow codec level {path.load_s:.2g} s"
    )
    columns = ["scenario", "requests", "same party"]
    for name in QUANTILES:
        columns += [f"{name}: predicted", "measured", "error"]
    rows = []
    for score in scores:
        count = sum(len(one.measured_s) for one in score.rounds)
        row = [score.case, count, f"{score.alike:.1%}"]
        for q in QUANTILES.values():
            row += [f"{score.predicted_s(q) * 1e3:.1f}", f"{score.measured_s(q) * 1e3:.1f}"]
            row.append(f"{score.error(q):+.1%}")
        rows.append(row)
    tabulate(f"ms; medians over {len(scores[0].rounds)} rounds", columns, rows)


def _plain(scores: list[Score]) -> dict[str, Any]:
    return {
        score.case: {
            "alike": score.alike,
            **{
                name: {
                    "predicted_s": score.predicted_s(q),
                    "measured_s": score.measured_s(q),
                    "error": score.error(q),
                }
                for name, q in QUANTILES.items()
            },
        }
        for score in scores
    }


if __name__ == "__main__":
    main()
