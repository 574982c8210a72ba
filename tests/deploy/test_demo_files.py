"""The demo's link and settings: read as the commands read them, and of one length."""

from __future__ import annotations

import re
from pathlib import Path

from device.settings import AgentSettings
from offramp.settings import load_settings
from sim.description import LinkSettings, read_link
from sim.model import build_link

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"


def link() -> LinkSettings:
    return read_link(DEPLOY / "link.yaml")


def test_link_is_good_then_poor_then_gone_then_back() -> None:
    assert [phase.name for phase in link().phases] == ["good", "poor", "outage", "back"]
    assert list(build_link(link()).names) == ["good", "poor", "outage", "back"]


def test_samples_outlast_the_link_and_reach_its_last_phase() -> None:
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    found = re.search(r"\$\{SAMPLES:-(\d+)\}", compose)
    settings = load_settings(AgentSettings, DEPLOY / "device.yaml", {})
    assert found
    assert settings.rate_hz
    run_s = int(found[1]) / settings.rate_hz
    before_last_s = sum(phase.seconds or 0 for phase in link().phases[:-1])
    assert run_s - before_last_s >= 3
    assert f"take {run_s:g} s" in (DEPLOY / "link.yaml").read_text()
