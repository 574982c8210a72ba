"""Rows: every request of a run in a CSV file, for whoever wants more than sums."""

from __future__ import annotations

import csv
from typing import TextIO

from device.work import Finish
from sim.world.processor import Held

__all__ = ["COLUMNS", "RowWriter"]

COLUMNS = (
    *("device", "request", "arrived_s", "latency_s", "status", "by", "exit", "right", "late"),
    *("sample", "cut", "level", "sent_bytes", "hedge_s"),
)
"""Times in seconds; ``by``, ``exit`` and ``right`` are empty where there is no answer, ``exit``
where no exit gave it. ``sample`` is the calibration sample that the request is."""


class RowWriter:
    """Writes a row for each request as it ends, those of the warm-up included."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def write(self, device: str, now_s: float, finish: Finish, held: Held) -> None:
        """Write that a device's request ended now; fits `sim.world.build.Watch`."""
        work, plan = finish.work, finish.work.plan
        self._writer.writerow(
            [
                device,
                work.id,
                f"{work.arrived_s:.6f}",
                f"{now_s - work.arrived_s:.6f}",
                finish.status,
                finish.by,
                held.exit if finish.by else None,
                int(held.right) if finish.by else None,
                int(not finish.by or now_s > work.deadline_s),
                held.sample,
                plan and plan.cut,
                plan and plan.level,
                work.sent_bytes,
                f"{work.hedge_s:.6f}",
            ]
        )
