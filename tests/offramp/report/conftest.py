from __future__ import annotations

import json

import pytest

from offramp.report.runs import parse_run

OPENING = {
    "kind": "run",
    "strategy": "offramp",
    "model": "digits",
    "digest": "ab" * 32,
    "segments": 4,
    "exits": ["early"],
    "machine": {"processor": "Chip 9", "cores": 2, "system": "Linux", "python": "3.11"},
    "slowdown": 8.0,
    "slowdown_source": "a published benchmark",
    "whole_model_s": 0.03,
    "deadline_s": 0.1,
    "rate_hz": 10.0,
    "offramp": "0.1.0",
}


def result(at, **given):
    """One result line: right, by the exit, 10 ms, unless ``given`` says otherwise."""
    line = {
        "kind": "result",
        "id": at,
        "status": "ok",
        "by": "exit early",
        "answer": 1,
        "label": 1,
        "arrived_s": at * 0.1,
        "latency_s": 0.01,
        "deadline_s": 0.1,
        "sent_bytes": 0,
        "spans": {"wait_s": 0.002, "head_s": 0.008},
    }
    line.update(given)
    return {key: value for key, value in line.items() if value is not None}


def story(**opening):
    """Ten samples: six leave early, two go to the server, one degrades, one is dropped."""
    by_server = {"by": "server", "latency_s": 0.05, "sent_bytes": 1000}
    return [
        {**OPENING, **opening},
        {"kind": "link", "at_s": 0.0, "up": True, "reason": ""},
        plan(0.0, 0, True),
        load(0.0, True),
        *(result(at) for at in range(5)),
        result(5, answer=2),
        result(6, **by_server, spans={"head_s": 0.02, "network_s": 0.02, "tail_s": 0.01}),
        result(7, **by_server, spans={"head_s": 0.02, "network_s": 0.02, "tail_s": 0.01}),
        plan(0.8, 4, False),
        result(
            8,
            status="degraded",
            by="device",
            answer=3,
            latency_s=0.12,
            sent_bytes=500,
            spans={"head_s": 0.02, "fallback_s": 0.03},
        ),
        result(9, status="dropped", by=None, answer=None, latency_s=0.1, spans=None),
    ]


def hedged(**opening):
    """Five samples of a second each: two the device was first with, one the server, two alone."""
    spans = {"head_s": 0.01, "encode_s": 0.01, "fallback_s": 0.02}
    by_device = {"by": "device", "sent_bytes": 1000, "latency_s": 0.06, "spans": spans}
    by_server = {"by": "server", "sent_bytes": 1000, "latency_s": 0.05, "spans": {"head_s": 0.01}}
    results = [
        result(0, **by_device, hedge_s=0.02),
        result(1, **by_device, hedge_s=0.02),
        result(2, **by_server, hedge_s=0.01),
        result(3, **{**by_device, "status": "degraded"}, hedge_s=0.01),
        result(4, arrived_s=0.99, spans={"head_s": 0.01}),
    ]
    return [{**OPENING, **opening}, *results]


def plan(at_s, cut, reachable):
    conditions = {"bandwidth_bps": 2e7, "rtt_s": 0.006, "reachable": reachable}
    level = "affine4" if cut < 4 else None
    return {
        "kind": "plan",
        "at_s": at_s,
        "id": f"p{cut}",
        "cut": cut,
        "level": level,
        "reason": "best",
        "conditions": conditions,
    }


def load(at_s, reachable):
    return {"kind": "load", "at_s": at_s, "bandwidth_bps": 1e7, "reachable": reachable}


PHASES = {
    "kind": "phases",
    "phases": [
        {"name": "good", "start_s": 0.0, "bandwidth_bps": 4e7, "delay_s": 0.003},
        {"name": "poor", "start_s": 0.4, "bandwidth_bps": 8e5, "delay_s": 0.04},
        {"name": "outage", "start_s": 0.7, "bandwidth_bps": 0.0, "delay_s": 0.0},
        {"name": "back", "start_s": 0.9, "bandwidth_bps": 4e7, "delay_s": 0.003},
    ],
}


def encode(lines):
    return [json.dumps(line).encode() for line in lines]


def parse(lines, name="story.jsonl"):
    return parse_run(encode(lines), name)


@pytest.fixture(scope="session")
def make():
    """The builders above, for tests that cannot import this file."""

    class Make:
        opening = OPENING
        phases = PHASES
        result = staticmethod(result)
        story = staticmethod(story)
        hedged = staticmethod(hedged)
        load = staticmethod(load)
        plan = staticmethod(plan)
        parse = staticmethod(parse)
        encode = staticmethod(encode)

    return Make


@pytest.fixture(scope="session")
def runs(make):
    """Three runs of different strategies."""
    return tuple(
        parse([*story(strategy=name), PHASES], f"{name}.jsonl")
        for name in ("device_only", "server_only", "offramp")
    )
