"""Start to first answer, and memory, of MobileNetV2 at 224 x 224 on the device.

``offramp run`` as it is, with a profile, answers images on the device alone and, while connected,
beside a server; torch does the same eagerly in a process that imports nothing else. Each start is
a process of its own that reads images from its standard input, and they take turns. Times are
wall-clock from the start of the process to its first answer; beside them stands the processor
time, which other work on the machine lengthens less. Memory is what is resident, libraries
included: at most until 20 answers, and after 80, when the head has been fused.
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from benchmarks.full_size import full_size
from benchmarks.harness import finish, parse, spread, tabulate
from offramp.bundle import Bundle
from partitioner.measure import measure_profile

AIM_S, LIMIT_MB = 1.5, 120.0
OFFRAMP = "from offramp.cli import main; main()"
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
EARLY, LATE = 20, 80


def main() -> None:
    options = parse("footprint", __doc__)
    bundle = full_size("mobilenet_v2")
    rounds = 3 if options.quick else 10
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as home, _server(bundle) as address:
        commands = _commands(bundle, Path(home), address)
        for _ in range(rounds):
            for name, command in commands.items():
                found[name].append(_start(command))
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    rows = [
        [
            name,
            spread([run["first_s"] for run in found[name]], 1.0),
            f"{figures['processor_s']:.2f}",
            *(f"{figures[key]:.0f}" for key in ("early_mb", "late_mb")),
        ]
        for name, figures in medians.items()
    ]
    columns = ["", "first answer s", "processor s", f"MB to {EARLY}", f"MB after {LATE}"]
    tabulate("MobileNetV2, 224 x 224", columns, rows)
    device, torch = medians["device with a server"], medians["torch, eager"]
    finish(
        "footprint",
        f"first answer after {device['first_s']:.2f} s (aim at most {AIM_S}), "
        f"{device['early_mb']:.0f} MB resident (required at most {LIMIT_MB:.0f}); eager torch "
        f"{torch['first_s']:.2f} s, {torch['early_mb']:.0f} MB",
        {"medians": medians},
        options,
    )


def _commands(bundle: Bundle, home: Path, address: str) -> dict[str, list[str]]:
    profile = home / "profile.json"
    profile.write_text(measure_profile(bundle, rounds=6).model_dump_json())
    run = [OFFRAMP, "run", str(bundle.folder), "--source", "-", "--profile", str(profile)]
    run += ["--slowdown", "1", "--deadline-ms", "5000", "--strategy", "device_only"]
    run += ["--out", "-", "--quiet"]
    return {
        "device alone": run,
        "device with a server": [*run, "--server", address],
        "torch, eager": [TORCH, str(bundle.folder), str(LATE + 5)],
    }


def _start(command: list[str]) -> dict[str, float]:
    """Start a process, wait for its answers and return what it took."""
    started = time.perf_counter()
    figures: dict[str, float] = {}
    header = command[0] == OFFRAMP
    with subprocess.Popen(
        [sys.executable, "-c", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
            if answers == LATE:
                figures["late_mb"] = watched.memory_info().rss / 1e6
    assert process.returncode == 0
    return figures


def _feed(process: subprocess.Popen[bytes], header: bool) -> None:
    """Write images to a process as fast as it reads them, as .npy arrays or bare."""
    assert process.stdin is not None
    pixels = np.random.default_rng(0).normal(size=(3, 224, 224)).astype(np.float32)
    image = io.BytesIO(b"" if header else pixels.tobytes())
    if header:
        np.save(image, pixels, allow_pickle=False)
    with process.stdin as stream:
        for _ in range(LATE + 5):
            stream.write(image.getvalue())


@contextmanager
def _server(bundle: Bundle) -> Iterator[str]:
    command = [OFFRAMP, "serve", str(bundle.folder), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, "-c", *command], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
