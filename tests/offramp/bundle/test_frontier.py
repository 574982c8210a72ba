"""The stored frontier: read back, refused where it is of no such model, shown and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from offramp.bundle import Bundle, Manifest, open_bundle, write_bundle
from offramp.bundle.command import inspect
from offramp.bundle.frontier import FILE, FrontierPlan, PlanFrontier, encode_frontier, frontier_of
from offramp.drawing import draw_frontier
from offramp.errors import BundleError, ConfigError

PLANS = (
    {"cut": 3, "thresholds": [2.0], "accuracy": 0.95, "device": 4e6, "bytes_mean": 0,
     "sent_share": 0},
    {"cut": 2, "level": "lossless", "thresholds": [0.75], "accuracy": 0.9, "device": 2.5e6,
     "bytes_mean": 1500.4, "sent_share": 0.25},
    {"cut": 0, "level": "lossless", "thresholds": [], "accuracy": 0.9, "device": 0,
     "bytes_mean": 12000, "sent_share": 1},
)  # fmt: skip
STORED = {"unit": "macs", "samples": 60, "plans": PLANS}


def with_frontier(bundle: Bundle, text: str, path: Path) -> Bundle:
    """Write a bundle once more with this as its frontier."""
    fields = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
    files = {name: bundle.path(name).read_bytes() for name in fields.pop("files")}
    write_bundle(path, fields, files | {FILE: text.encode()})
    return open_bundle(path)


def test_a_compiled_bundle_stores_its_frontier(tiny: Bundle) -> None:
    frontier = frontier_of(tiny)
    assert (frontier.unit, frontier.samples) == ("macs", 60)
    assert any(plan.level is None for plan in frontier.plans)
    assert all(0 <= plan.device <= 1e6 for plan in frontier.plans)


def test_what_is_stored_is_read(tiny: Bundle, tmp_path: Path) -> None:
    stored = PlanFrontier.model_validate(STORED)
    bundle = with_frontier(tiny, encode_frontier(stored).decode(), tmp_path / "x.offramp")
    assert frontier_of(bundle) == stored


def _with(change: Callable[[Any], Any]) -> str:
    plain = json.loads(json.dumps(STORED))
    changed = change(plain)
    return json.dumps(plain if changed is None else changed)


HOSTILE = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "unheard": _with(lambda plain: plain | {"speed": 1}),
    "no plans": _with(lambda plain: plain | {"plans": []}),
    "too many": _with(lambda plain: plain | {"plans": plain["plans"] * 34}),
    "unit": _with(lambda plain: plain | {"unit": "joules"}),
    "samples": _with(lambda plain: plain | {"samples": 0}),
    "machine": _with(lambda plain: plain | {"machine": "x" * 201}),
    "cut": _with(lambda plain: plain["plans"][0].update(cut=4)),
    "negative cut": _with(lambda plain: plain["plans"][0].update(cut=-1)),
    "level": _with(lambda plain: plain["plans"][1].update(level="other")),
    "no level": _with(lambda plain: plain["plans"][1].pop("level") and None),
    "thresholds": _with(lambda plain: plain["plans"][0].update(thresholds=[])),
    "threshold": _with(lambda plain: plain["plans"][0].update(thresholds=[3])),
    "accuracy": _with(lambda plain: plain["plans"][0].update(accuracy=1.5)),
    "endless": _with(lambda plain: plain["plans"][0].update(device=1e999)),
    "large": " " * (1 << 20) + json.dumps(STORED),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_frontiers_are_refused(name: str, tiny: Bundle, tmp_path: Path) -> None:
    bundle = with_frontier(tiny, HOSTILE[name], tmp_path / "x.offramp")
    with pytest.raises(BundleError, match=r"frontier\.json: ") as caught:
        frontier_of(bundle)
    assert "\n" not in str(caught.value)


def test_it_is_shown_and_drawn(tiny: Bundle, tmp_path: Path) -> None:
    with_frontier(tiny, json.dumps(STORED), tmp_path / "x.offramp")
    drawn = tmp_path / "f.svg"
    words = [str(tmp_path / "x.offramp"), "--frontier", "--frontier-svg", str(drawn)]
    ended = CliRunner(env={"COLUMNS": "80"}).invoke(inspect, words)
    assert ended.exit_code == 0, ended.exception
    rows = [line.split() for line in ended.output.splitlines() if "%" in line]
    assert rows == [
        ["95.00%", "4.00", "0", "0.0%", "3", "nothing", "closed"],
        ["90.00%", "2.50", "1500", "25.0%", "2", "lossless", "0.750"],
        ["90.00%", "0.00", "12000", "100.0%", "0", "lossless"],
    ]
    assert max(len(line.rstrip()) for line in ended.output.splitlines()) <= 80
    root = ElementTree.fromstring(drawn.read_text())
    hints = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert hints[-1] == "95.00%, 4.00 MMAC, 0 B; cut 3, sends nothing, thresholds closed"
    assert len(hints) == 3
    dots = {
        dot[0].text: (float(dot.attrib["cx"]), float(dot.attrib["cy"]))
        for dot in root.iter("{http://www.w3.org/2000/svg}circle")
        if len(dot)
    }
    (right, top), (middle, low), (left, also_low) = (dots[hint] for hint in reversed(hints))
    assert left < middle < right
    assert top < low == also_low


def test_a_single_plan_can_be_drawn() -> None:
    plan = FrontierPlan(cut=0, thresholds=(), accuracy=1, device=0, bytes_mean=0, sent_share=0)
    drawn = draw_frontier(PlanFrontier(unit="s", samples=1, plans=(plan,)), "<one> & only")
    assert "&lt;one&gt; &amp; only" in drawn
    ElementTree.fromstring(drawn)


def test_a_bundle_without_one_says_how_to_get_one(tiny: Bundle, tmp_path: Path) -> None:
    fields = {name: getattr(tiny.manifest, name) for name in Manifest.model_fields}
    files = {name: tiny.path(name).read_bytes() for name in fields.pop("files") if name != FILE}
    write_bundle(tmp_path / "bare.offramp", fields, files)
    with pytest.raises(ConfigError, match="stores no frontier; write one with: offramp calibrate"):
        frontier_of(open_bundle(tmp_path / "bare.offramp"))
