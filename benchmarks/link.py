"""Measure what the link shaper delivers against what it was asked for."""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import yaml

from sim.description import parse_link
from sim.model import build_link

RATES_BPS = (1e6, 8e6, 40e6)
DELAYS_S = (0.002, 0.020)
COLUMNS = "0 2\n1 14\n2 0\n2.5 6\n3.5 10\n"
MESSAGE_BYTES = 2000
CHUNK = bytes(65536)


@contextmanager
def shaped(link: dict[str, Any], upstream: socket.socket) -> Iterator[tuple[str, int]]:
    """The address of `offramp shape` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "link.yaml"
        path.write_text(yaml.safe_dump(link))
        ways = ["--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{upstream.getsockname()[1]}"]
        command = [sys.executable, "-c", "from sim.command import shape; shape()", *ways]
        with subprocess.Popen(
            [*command, "--link", str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            host, port = process.stdout.readline().split()[-1].split(":")
            try:
                yield host, int(port)
            finally:
                process.terminate()


def pour(sock: socket.socket) -> None:
    """Send until the connection ends."""
    with suppress(OSError):
        while True:
            sock.sendall(CHUNK)


def drink(sock: socket.socket, until_s: float, into: dict[str, int], name: str) -> None:
    """Count the bytes that arrive until a time; returns when the connection ends."""
    into[name] = 0
    with suppress(OSError):
        while content := sock.recv(65536):
            if time.monotonic() <= until_s:
                into[name] += len(content)


def delivered_bytes(condition: dict[str, Any], seconds: float) -> dict[str, int]:
    """How many bytes arrive in each direction while both are busy."""
    counts: dict[str, int] = {}
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        shaped({"up": [condition]}, server) as address,
    ):
        until_s = time.monotonic() + seconds
        with socket.create_connection(address) as client, server.accept()[0] as inner:
            threads = [
                threading.Thread(target=pour, args=(client,)),
                threading.Thread(target=pour, args=(inner,)),
                threading.Thread(target=drink, args=(inner, until_s, counts, "up")),
                threading.Thread(target=drink, args=(client, until_s, counts, "down")),
            ]
            for thread in threads:
                thread.start()
            time.sleep(until_s - time.monotonic())
            for sock in (client, inner):
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
    return counts


def one_way_s(delay_s: float, messages: int) -> list[float]:
    """Half the round trips of small messages through a delay, one after the other."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        shaped({"up": [{"kind": "delay", "seconds": delay_s}]}, server) as address,
        socket.create_connection(address) as client,
        server.accept()[0] as inner,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times_s = []
        for _ in range(messages):
            start_s = time.perf_counter()
            client.sendall(CHUNK[:MESSAGE_BYTES])
            inner.sendall(inner.recv(MESSAGE_BYTES, socket.MSG_WAITALL))
            client.recv(MESSAGE_BYTES, socket.MSG_WAITALL)
            times_s.append((time.perf_counter() - start_s) / 2)
    return times_s


def rate_rows(seconds: float, traces: list[Path]) -> Iterator[dict[str, Any]]:
    """One row for each rate and direction."""
    cases = [(f"{bps / 1e6:g} Mbit/s", {"kind": "rate", "bps": bps}) for bps in RATES_BPS]
    cases += [(path.name, {"kind": "rate", "trace": str(path.resolve())}) for path in traces]
    for name, condition in cases:
        rate = build_link(parse_link({"up": [condition]}, name)).up.conditions[0]
        asked = rate.served.served_bytes(0, seconds)
        for direction, total in delivered_bytes(condition, seconds).items():
            yield {
                "link": f"{name} {direction}",
                "asked_mbps": asked * 8 / seconds / 1e6,
                "measured_mbps": total * 8 / seconds / 1e6,
                "error": abs(total / asked - 1),
            }


def delay_rows(messages: int) -> Iterator[dict[str, Any]]:
    """One row for each delay."""
    for delay_s in DELAYS_S:
        times_s = one_way_s(delay_s, messages)
        yield {
            "link": f"{delay_s * 1e3:g} ms one way",
            "p50_ms": median(times_s) * 1e3,
            "p95_ms": quantiles(times_s, n=20)[-1] * 1e3,
        }


def main() -> None:
    """Print the tables, and one last line to read by machine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 seconds a rate instead of 10")
    parser.add_argument("--trace", type=Path, action="append", default=[], help="a trace as well")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        columns = Path(folder) / "columns"
        columns.write_text(COLUMNS)
        rates = []
        for row in rate_rows(2 if asked.quick else 10, [columns, *asked.trace]):
            rates.append(row)
            print("{link:40} {asked_mbps:8.3f} asked {measured_mbps:8.3f} Mbit/s".format(**row))
    delays = []
    for row in delay_rows(50 if asked.quick else 200):
        delays.append(row)
        print("{link:40} {p50_ms:8.2f} p50 {p95_ms:8.2f} ms p95".format(**row))
    if asked.json:
        asked.json.write_text(json.dumps({"rates": rates, "delays": delays}, indent=2) + "\n")
    worst = max(row["error"] for row in rates)
    print(f"link: worst rate error {worst:.1%} (required 5%)")


if __name__ == "__main__":
    main()
