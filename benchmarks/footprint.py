"""Start to first answer, and memory, of MobileNetV2 at 224 x 224 on the device.

``offramp run`` as it is, with a profile, runs the whole model on ONNX Runtime for each image, alone
and while connected to a server; torch does the same eagerly in a process that imports nothing else.
Each start is a process of its own that reads images from its standard input, and they take turns;
each has run once before, so that Python finds its modules compiled, as where they are installed.
Times are wall-clock from the start of the process to its first answer; beside them stands the
processor time, which other work on the machine lengthens less. Memory is what is resident,
libraries included, in units of 10^6 bytes: the most after any of 20 answers, after 160, when the
head has been fused (torch ends at 20), and the peak of the whole run.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from benchmarks.full_size import full_size
from benchmarks.harness import finish, parse, spread, tabulate
from benchmarks.processes import OFFRAMP, listening
from offramp.bundle import Bundle
from partitioner.measure import measure_profile

AIM_S, LIMIT_MB = 1.5, 120.0
TORCH = """
import json, sys
import numpy
from offramp.network import Network
from offramp.bundle.archive import Bundle
from offramp.bundle.manifest import decode_manifest
from pathlib import Path
folder = Path(sys.argv[1])
manifest, digest = decode_manifest((folder / "manifest.json").read_bytes(), "")
network = Network(Bundle(manifest, digest, folder), "torch")
for at in range(int(sys.argv[2])):
    image = numpy.frombuffer(sys.stdin.buffer.read(4 * 3 * 224 * 224), "float32")
    image = image.reshape(3, 224, 224)
    answer = network.run(0, network.depth, [image[None]])[0].argmax()
    print(json.dumps({"kind": "result", "id": at, "answer": int(answer)}), flush=True)
"""
EARLY, LATE = 20, 160


def main() -> None:
    options = parse("footprint", __doc__)
    bundle = full_size("mobilenet_v2")
    rounds = 2 if options.quick else 10
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    serve = [
        OFFRAMP,
        "serve",
        str(bundle.folder),
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "error",
    ]
    with tempfile.TemporaryDirectory() as home, listening(serve) as address:
        commands = _commands(bundle, Path(home), address)
        for done in range(rounds + 1):
            for name, command in commands.items():
                figures = _start(command)
                if done:
                    found[name].append(figures)
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    rows = [
        [
            name,
            spread([run["first_s"] for run in found[name]], 1.0),
            f"{figures['processor_s']:.2f}",
            *(f"{figures[key]:.0f}" for key in ("early_mb", "late_mb", "peak_mb")),
        ]
        for name, figures in medians.items()
    ]
    columns = ["", "first answer s", "processor s", f"MB to {EARLY}", f"MB after {LATE}", "peak MB"]
    tabulate("MobileNetV2, 224 x 224", columns, rows)
    alone, device, torch = medians.values()
    finish(
        "footprint",
        f"first answer after {device['first_s']:.2f} s (aim at most {AIM_S}), "
        f"{_most_mb(alone):.0f} MB resident alone, {_most_mb(device):.0f} MB with a server "
        f"(aim at most {LIMIT_MB:.0f}); eager torch {torch['first_s']:.2f} s, "
        f"{_most_mb(torch):.0f} MB",
        {"medians": medians},
        options,
    )


def _most_mb(figures: dict[str, float]) -> float:
    return max(figures["early_mb"], figures["late_mb"])


def _commands(bundle: Bundle, home: Path, address: str) -> dict[str, list[str]]:
    profile = home / "profile.json"
    profile.write_text(measure_profile(bundle, rounds=3).model_dump_json())
    run = [OFFRAMP, "run", str(bundle.folder), "--source", "-", "--profile", str(profile)]
    run += ["--slowdown", "1", "--deadline-ms", "5000", "--strategy", "device_only"]
    run += ["--out", "-", "--quiet"]
    return {
        "device alone": run,
        "device with a server": [*run, "--server", address],
        "torch, eager": [TORCH, str(bundle.folder), str(EARLY + 1)],
    }


def _start(command: list[str]) -> dict[str, float]:
    """Start a process, wait for its answers and return what it took."""
    started = time.perf_counter()
    figures: dict[str, float] = {}
    header = command[0] == OFFRAMP
    with subprocess.Popen(
        [sys.executable, "-c", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
    ) as process:
        assert process.stdout is not None
        threading.Thread(target=_feed, args=(process, header)).start()
        watched, answers, resident = psutil.Process(process.pid), 0, 0
        for line in process.stdout:
            if json.loads(line)["kind"] != "result":
                continue
            answers += 1
            resident = max(resident, watched.memory_info().rss)
            if answers == 1:
                figures["first_s"] = time.perf_counter() - started
                figures["processor_s"] = sum(watched.cpu_times()[:2])
            if answers == EARLY:
                figures["early_mb"] = resident / 1e6
            if answers in (EARLY, LATE):
                figures["late_mb"] = watched.memory_info().rss / 1e6
                figures["peak_mb"] = _peak_mb(process.pid)
    assert process.returncode == 0
    return figures


def _peak_mb(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / 1e6


def _feed(process: subprocess.Popen[bytes], header: bool) -> None:
    """Write images to a process as fast as it reads them, as .npy arrays or bare."""
    assert process.stdin is not None
    pixels = np.random.default_rng(0).normal(size=(3, 224, 224)).astype(np.float32)
    image = io.BytesIO(b"" if header else pixels.tobytes())
    if header:
        np.save(image, pixels, allow_pickle=False)
    with suppress(BrokenPipeError), process.stdin as stream:
        for _ in range(LATE + 5):
            stream.write(image.getvalue())


if __name__ == "__main__":
    main()
