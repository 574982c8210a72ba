"""An edge server under load: throughput and latency against the number of devices.

Devices with cuts of their own, drawn in turn from all of the network's, send at random times to one
server of one worker and one thread. All send so often that fifty of them ask for what the server
can do. Compared in one run: the server as it is, with batches only of samples that come from one
cut, without batches, and a plain gRPC server that runs the whole model on inputs. The load comes
from a process of its own. "Engine" is what the segments do by themselves, in batches of all cuts,
in a process that does nothing else.
"""

from __future__ import annotations

import base64
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.codec_bundles import NAMES, bundle_of, samples_of
from benchmarks.harness import Options, build_parser, finish, tabulate
from benchmarks.server_load import Load
from benchmarks.server_variants import VARIANTS, WHOLE, copies_of, start
from edge_server.engine import Engine
from edge_server.scheduling.cost_curve import MOST
from offramp.bundle import Bundle, open_bundle
from offramp.messages import Request
from offramp.network import Network

DEVICES, QUICK_DEVICES = (1, 10, 50, 100, 200), (1, 20)
SECONDS, QUICK_SECONDS = 12.0, 4.0
SATURATING = 50
"""The devices that ask for what the server can do."""

LEVEL = "lossless"
SAMPLES = 32
DEADLINE_S = 0.25
_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Row:
    """What a server did with a load: answers in time a second, latencies, and what it refused."""

    variant: str
    cuts: str
    devices: int
    offered_hz: float
    goodput_hz: float
    p50_s: float
    p95_s: float
    p99_s: float
    late: int
    refused: int
    lost: int


def main() -> None:
    parser = build_parser("server", __doc__)
    parser.add_argument("--task", choices=NAMES, default="cifar10")
    given = parser.parse_args()
    bundle, counts = bundle_of(given.task), QUICK_DEVICES if given.quick else DEVICES
    seconds = QUICK_SECONDS if given.quick else SECONDS
    inputs = samples_of(given.task, "test", SAMPLES).inputs[0]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(bundle, np.asarray(inputs), Path(folder), seconds)
        engine_hz = {name: bench.engine_hz(cuts) for name, cuts in bench.cuts.items()}
        capacity_hz = {
            name: bench.measure("offramp", name, SATURATING, 3 * hz, 10.0).goodput_hz
            for name, hz in engine_hz.items()
        }
        each_hz = capacity_hz["mixed"] / SATURATING
        rows = [
            bench.measure(variant, "mixed", devices, devices * each_hz, DEADLINE_S)
            for devices in counts
            for variant in VARIANTS
        ]
        twice = bench.measure("offramp", "mixed", 100, 2 * capacity_hz["mixed"], DEADLINE_S)
    tell(rows, engine_hz, capacity_hz)
    share = {name: capacity_hz[name] / engine_hz[name] for name in engine_hz}
    finish(
        "server",
        f"{given.task}: {share['mixed']:.0%} of the engine's own throughput with mixed cuts, "
        f"{share['one cut']:.0%} with one; at twice the capacity "
        f"{twice.goodput_hz / capacity_hz['mixed']:.0%} of it in time, {twice.late} late",
        {
            "task": given.task,
            "engine_hz": engine_hz,
            "capacity_hz": capacity_hz,
            "rows": [asdict(row) for row in [*rows, twice]],
        },
        Options(given.quick, given.json),
    )


class Bench:
    """A bundle, its samples as requests from every cut, and the servers that get them."""

    def __init__(self, bundle: Bundle, inputs: Any, folder: Path, seconds: float) -> None:
        self._bundle, self._inputs, self._seconds = bundle, inputs, seconds
        self._network = Network(bundle, "onnxruntime")
        self.cuts = {"mixed": list(bundle.cuts)[:-1], "one cut": [0]}
        whole = folder / "whole.offramp"
        (whole,) = copies_of(bundle, folder, 1)
        self._whole, self._copies = whole, copies_of(bundle, folder, len(self.cuts["mixed"]))

    def engine_hz(self, cuts: Sequence[int]) -> float:
        """Return how many samples a second the segments do, in batches from all cuts together."""
        engine = Engine([self._network], _LIMIT_BYTES)
        texts = self._requests(self._bundle, cuts)
        requests = [Request.from_proto(parse(text)) for row in texts for text in row[:4]]
        requests = (requests * MOST)[:MOST]
        done, began_s = 0, time.perf_counter()
        while time.perf_counter() - began_s < self._seconds / 4:
            left = [engine.begin(request) for request in requests]
            while left:
                place = min(passage.place for passage in left)
                batch = [passage for passage in left if passage.place == place]
                engine.step(batch)
                for passage in batch:
                    if passage.ended:
                        engine.finish(passage)
                        done += 1
                left = [passage for passage in left if not passage.ended]
        return done / (time.perf_counter() - began_s)

    def measure(
        self, variant: str, cuts: str, devices: int, rate_hz: float, deadline_s: float
    ) -> Row:
        """Start a server, put a load on it and return what became of it."""
        bundles = self._copies if variant == "per cut" else [self._whole]
        with start(variant, bundles) as address:
            load = Load(
                address,
                devices,
                rate_hz,
                self._seconds,
                deadline_s,
                self._load_of(variant, cuts, bundles),
                whole=WHOLE if variant == "plain" else "",
            )
            found = put(load)
        latencies = sorted(found["latencies_s"]) or [float("nan")]
        in_time = sum(one <= deadline_s for one in latencies)
        p50, p95, p99 = (latencies[int(q * (len(latencies) - 1))] for q in (0.5, 0.95, 0.99))
        late = len(found["latencies_s"]) - in_time
        return Row(
            *(variant, cuts, devices, rate_hz, in_time / self._seconds, p50, p95, p99, late),
            refused=sum(found["statuses"].values()) + found["kept"],
            lost=found["lost"],
        )

    def _load_of(
        self, variant: str, cuts: str, bundles: Sequence[Path]
    ) -> tuple[tuple[str, ...], ...]:
        if variant == "plain":
            return (tuple(base64.b64encode(one.tobytes()).decode() for one in self._inputs),)
        rows = []
        for cut in self.cuts[cuts]:
            bundle = open_bundle(bundles[cut if variant == "per cut" else 0])
            rows += self._requests(bundle, [cut])
        return tuple(rows)

    def _requests(self, bundle: Bundle, cuts: Sequence[int]) -> list[tuple[str, ...]]:
        """Return the samples as they are sent from some cuts."""
        rows = []
        for cut in cuts:
            row = []
            for sample in self._inputs:
                tensors = self._network.run(0, cut, [sample[None]])
                sent = self._network.encode(cut, LEVEL, tensors)
                request = Request(1, bundle.digest, cut, sent.frames)
                data = request.to_proto().SerializeToString()
                row.append(base64.b64encode(data).decode())
            rows.append(tuple(row))
        return rows


def parse(text: str) -> Any:
    """Read a request as it is sent."""
    from protos.offramp.v1 import inference_pb2 as pb

    return pb.InferRequest.FromString(base64.b64decode(text))


def put(load: Load) -> dict[str, Any]:
    """Run a load in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.server_load"]
    done = subprocess.run(
        command, input=json.dumps(asdict(load)), stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tell(rows: Sequence[Row], engine_hz: dict[str, float], capacity_hz: dict[str, float]) -> None:
    """Print the tables."""
    tabulate(
        "what the segments do by themselves, and the server when it is asked for more",
        ["", "engine /s", "server /s", "share"],
        [
            (name, f"{hz:.0f}", f"{capacity_hz[name]:.0f}", f"{capacity_hz[name] / hz:.0%}")
            for name, hz in engine_hz.items()
        ],
    )
    for devices in dict.fromkeys(row.devices for row in rows):
        here = [row for row in rows if row.devices == devices]
        offered = statistics.mean(row.offered_hz for row in here)
        tabulate(
            f"{devices} devices, {offered:.0f} samples a second, {DEADLINE_S * 1e3:.0f} ms each",
            ["", "in time /s", "p50 ms", "p95 ms", "p99 ms", "late", "refused", "lost"],
            [
                (
                    f"{row.variant}: {VARIANTS[row.variant]}",
                    f"{row.goodput_hz:.0f}",
                    *(f"{one * 1e3:.1f}" for one in (row.p50_s, row.p95_s, row.p99_s)),
                    *(str(one) for one in (row.late, row.refused, row.lost)),
                )
                for row in here
            ],
        )


if __name__ == "__main__":
    main()
