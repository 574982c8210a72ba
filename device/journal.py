"""The journal: what happens to samples, plan and link, as lines for the sinks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from device.adaptation import ThresholdsMoved
from device.cargo import Cargo
from device.in_force import PlanChange
from device.load import read_load
from device.result import Result, Spans
from device.sinks import Sink
from device.vigil import DriftSeen
from device.work import BundleChange, Finish, LinkChange, LoadDue
from offramp.exits import softmax

__all__ = ["Journal"]


class Journal:
    """Writes lines one at a time, from any thread; times count from the run's start.

    What comes before `begin` is written then, at a negative time. ``failures`` are the reasons of
    the samples that failed. ``server`` is the one in use, if there are several.
    """

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self._sinks = list(sinks)
        self._lock = threading.Lock()
        self._started_s: float | None = None
        self._early: list[tuple[float, dict[str, Any]]] = []
        self.failures: list[str] = []
        self.server = ""

    def begin(self, at_s: float) -> None:
        """Let the run start now."""
        with self._lock:
            self._started_s = at_s
        for early_s, line in self._early:
            self._write(early_s, line)

    def note(self, happened: PlanChange | LinkChange | LoadDue | BundleChange) -> None:
        """Write what happened to plan, link or bundle, or the load, which is read now."""
        line: dict[str, Any]
        match happened:
            case PlanChange():
                plan = happened.explained()
                line = {"kind": "plan", "id": plan.id, **asdict(plan)}
                line["predicted"] = line.pop("prediction")
                line["conditions"] = asdict(happened.conditions)
            case LinkChange():
                line = {"kind": "link", "up": happened.up, "reason": happened.reason}
                if happened.up and self.server:
                    line["server"] = self.server
            case BundleChange(deployment=deployment):
                bundle = deployment.bundle
                line = {"kind": "bundle", "digest": bundle.digest, "model": bundle.manifest.name}
                line["promise"] = deployment.promise
            case LoadDue():
                line = {"kind": "load", **read_load(), **asdict(happened.conditions)}
        self._write(happened.at_s, line)

    def note_refusal(self, at_s: float, digest: str, reason: str) -> None:
        """Write that a bundle that was announced cannot take the place of the one that runs."""
        self._write(at_s, {"kind": "bundle", "digest": digest, "refused": reason})

    def note_seen(self, at_s: float, seen: DriftSeen | ThresholdsMoved) -> None:
        """Write that samples are not like those of calibration, or that thresholds followed."""
        line: dict[str, Any]
        match seen:
            case DriftSeen():
                line = {"kind": "drift", "plan": seen.plan, **asdict(seen.moved)}
            case ThresholdsMoved():
                line = {"kind": "thresholds", **asdict(seen)}
        self._write(at_s, line)

    def finish(self, finish: Finish, cargo: Cargo) -> None:
        """Write a sample's result."""
        work = finish.work
        answer = self._answer(finish, cargo)
        now_s = time.perf_counter()
        result = Result(
            work.id,
            **answer,
            label=cargo.sample.label,
            name=cargo.sample.name,
            latency_s=now_s - work.arrived_s,
            deadline_s=round(work.deadline_s - work.arrived_s, 6),
            sent_bytes=work.sent_bytes,
            plan=work.plan.id if work.plan else "",
            cut=work.plan.cut if work.plan else None,
            level=cargo.progress.level or (work.plan.level if work.plan else None),
            reference=cargo.progress.reference,
            sentinel=_sentinel(cargo),
            hedge_s=work.hedge_s,
            spans=_spans(finish, cargo, now_s),
            trace=cargo.trace.hex(),
            server=cargo.server if finish.by == "server" else "",
        )
        if result.status == "failed":
            self.failures.append(result.reason)
        self._write(work.arrived_s, result.to_json(), "arrived_s")

    def _answer(self, finish: Finish, cargo: Cargo) -> dict[str, Any]:
        """Return status, reason, and the answer with its author, if there is one."""
        status, reason = finish.status, finish.work.reason
        if not finish.by:
            return {"status": status, "reason": reason}
        output = cargo.output(finish)
        if not np.isfinite(output.tensor).all():
            reason = f"the answer of {output.by} holds NaN or infinity"
            return {"status": "failed", "reason": reason}
        told = {"status": status, "reason": reason, "by": output.by}
        told |= {"ensemble": output.ensemble, "later": output.later}
        if cargo.bundle.manifest.answer == "tensor":
            return {**told, "answer": output.tensor.tolist()}
        probabilities = softmax(output.tensor, output.temperature)
        best = int(probabilities.argmax())
        return {**told, "answer": best, "confidence": float(probabilities[best])}

    def _write(self, at_s: float, line: dict[str, Any], key: str = "at_s") -> None:
        with self._lock:
            if self._started_s is None:
                self._early.append((at_s, line))
                return
            line[key] = round(at_s - self._started_s, 6)
            for sink in self._sinks:
                sink.write(line)


def _sentinel(cargo: Cargo) -> str:
    at = cargo.progress.sentinel
    return "" if at is None else f"exit {cargo.bundle.manifest.exits[at].name}"


def _spans(finish: Finish, cargo: Cargo, now_s: float) -> Spans:
    work, progress, timeline = finish.work, cargo.progress, cargo.timeline
    spent_s = work.fallback_s + work.hedge_s
    ours = Spans(work.wait_s, progress.head_s, progress.encode_s, fallback_s=spent_s)
    if finish.by != "server":
        return ours
    return Spans(
        work.wait_s,
        progress.head_s,
        progress.encode_s,
        network_s=max(now_s - work.sent_s - timeline.total_s, 0.0),
        queue_s=timeline.queue_s,
        decode_s=timeline.decode_s,
        tail_s=sum(timeline.segment_s) + timeline.encode_s,
        fallback_s=work.fallback_s,
    )
