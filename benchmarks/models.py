"""What compiles: every model of the zoo through the whole compiler, with random weights.

A model that fails stays in the table with its reason. With --json, models that the file holds from
an earlier run stay in it, so that the table can be made in parts.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks import models_page
from benchmarks.harness import Options, build_parser, finish, tabulate
from benchmarks.models_page import Outcome, columns, row, summary
from benchmarks.zoo import ZOO, Entry
from offramp import backends
from offramp.bundle import Bundle, open_bundle
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.network import Network
from offramp.samples import Samples

QUICK = ("ResNet", "BERT", "Whisper encoder", "U-Net", "Fusion")


def main() -> None:
    parser = build_parser("models", __doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="models or families to try")
    parser.add_argument("--rest", action="store_true", help="those that the JSON file lacks")
    parser.add_argument(
        "--engine",
        dest="engines",
        action="append",
        default=[],
        choices=[b.name for b in backends.installed() if b.exact and not b.ready_at_once],
        help="time this one too, the model as one program; loading it takes up to a minute a model",
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page of the table")
    given = parser.parse_args()
    options = Options(given.quick, given.json)
    wanted = given.only or (QUICK if options.quick else None)
    outcomes = _earlier(options.json)
    left = [entry for entry in ZOO if not (given.rest and entry.name in outcomes)]
    torch.set_num_threads(1)
    for entry in left:
        if wanted is None or entry.name in wanted or entry.family in wanted:
            outcomes[entry.name] = _try(entry, 3 if options.quick else 8, given.engines)
            print(f"{entry.name}: {outcomes[entry.name].failure or 'compiled'}", flush=True)
            _keep(options.json, outcomes)
    found = [outcomes[entry.name] for entry in ZOO if entry.name in outcomes]
    tabulate(
        "models with random weights at small width", columns(found), [row(o, found) for o in found]
    )
    if given.write:
        given.write.write_text(models_page.write(found))
    finish("models", summary(found), {"models": [asdict(o) for o in found]}, options)


def _try(entry: Entry, segments: int, engines: Sequence[str]) -> Outcome:
    """Compile a model; whatever goes wrong becomes the reason in the table."""
    started = time.monotonic()
    try:
        model, samples = entry.build()
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.offramp"
            options = CompileOptions(entry.name, max_segments=segments)
            compile_model(model, None, path, options, examples=samples)
            took_s = time.monotonic() - started
            bundle = open_bundle(path)
            outcome = _measure(entry, bundle, samples, took_s)
            for name in engines:
                _time_fused(outcome, bundle, name, samples)
            return outcome
    except Exception as error:  # one model's failure never stops the others
        return Outcome(entry.name, entry.family, time.monotonic() - started, _reason(error))


def _measure(entry: Entry, bundle: Bundle, samples: Samples, took_s: float) -> Outcome:
    manifest = bundle.manifest
    ready = [backend for backend in bundle.backends if backend.ready_at_once]
    skipped = {name: why for segment in manifest.segments for name, why in segment.skipped.items()}
    return Outcome(
        name=entry.name,
        family=entry.family,
        compile_s=took_s,
        operations=len(json.loads(bundle.path("graph.json").read_bytes())["nodes"]),
        boundary_bytes=[boundary.nbytes for boundary in manifest.boundaries],
        tensors=[len(boundary.tensors) for boundary in manifest.boundaries],
        difference=max(proof.max_relative_difference for proof in manifest.proofs),
        gap=manifest.gap,
        engines_s={b.name: _time_s(Network(bundle, b.name), samples) for b in ready},
        skipped={name: _shorten(why) for name, why in skipped.items()},
    )


def _time_fused(outcome: Outcome, bundle: Bundle, engine: str, samples: Samples) -> None:
    """Add the time of an engine that compiles what it loads, or why it cannot run the model."""
    if engine in outcome.skipped:
        return
    try:
        network = Network(bundle, engine, segments=range(0))
        network.fuse((0, network.depth))
        outcome.engines_s[engine] = _time_s(network, samples)
    except Exception as error:  # each engine raises its own kinds
        outcome.skipped[engine] = _reason(error)


def _time_s(network: Network, samples: Samples) -> float:
    """Return the median time of the whole model on one sample, in seconds, for half a second."""
    one = samples[:1].inputs
    network.run(0, network.depth, one)
    times: list[float] = []
    until = time.perf_counter() + 0.5
    while len(times) < 5 or time.perf_counter() < until:
        started = time.perf_counter()
        network.run(0, network.depth, one)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _reason(error: Exception) -> str:
    known = type(error).__module__.startswith("offramp")
    return _shorten(str(error) if known else f"{type(error).__name__}: {error}")


def _shorten(text: str) -> str:
    """Return a reason in one line, files named from the package on."""
    return re.sub(r"\S*(?:site-packages|benchmarks)/", "", " ".join(text.split()))[:400]


def _earlier(file: Path | None) -> dict[str, Outcome]:
    if file is None or not file.is_file():
        return {}
    return {plain["name"]: Outcome(**plain) for plain in json.loads(file.read_text())["models"]}


def _keep(file: Path | None, outcomes: dict[str, Outcome]) -> None:
    if file is not None:
        file.write_text(json.dumps({"models": [asdict(o) for o in outcomes.values()]}) + "\n")


if __name__ == "__main__":
    main()
