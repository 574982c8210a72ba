"""The cases: scenarios that run both live and simulated, each a question to the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offramp.settings import build_settings
from sim.world.scenario import Scenario

__all__ = ["Case", "build_cases", "path_case"]

_WIFI = {"preset": "wifi"}
_NOTHING = {"described": {"up": [{"kind": "noop"}]}}


@dataclass(frozen=True)
class Case:
    """A scenario of devices that each make a group, and the strategy that all of them follow.

    The first ``skipped`` requests of each device count neither live nor simulated: while one agent
    starts, others on the same machine wait for the processor.
    """

    scenario: Scenario
    strategy: str
    skipped: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.scenario.name


def path_case(profile: Path, requests: int) -> Case:
    """Return the case from which the path is measured: every sample is sent over no link."""
    group = _group(profile, _NOTHING, 20, {"slowdown": 20})
    return Case(_scenario("path", requests, [group]), "server_only")


def build_cases(profile: Path, trace: tuple[Path, Path] | None, seconds: float) -> list[Case]:
    """Return the cases, each about so many seconds long; on a mobile link three times that.

    Its rate changes all the time, so that a few slow seconds would decide on a short run.
    ``trace`` has a recorded uplink and downlink; without one the rate is generated.
    """
    return [
        _steady(profile, seconds),
        _mobile(profile, trace, 3 * seconds),
        _outage(profile, seconds),
        _shared(profile, seconds),
        _split(profile, seconds),
    ]


def _steady(profile: Path, seconds: float) -> Case:
    """Steady Wi-Fi, everything sent."""
    group = _group(profile, _WIFI, 15, {"slowdown": 20})
    return Case(_scenario("steady wifi, all sent", round(15 * seconds), [group]), "server_only")


def _mobile(profile: Path, trace: tuple[Path, Path] | None, seconds: float) -> Case:
    """A mobile link whose rate changes all the time; a slow device decides what to send."""
    link: dict[str, Any] = {"preset": "lte"}
    if trace is not None:
        link = {"trace": trace[0], "down_trace": trace[1], "delay_s": 0.02}
    group = _group(profile, link, 8, {"slowdown": 80, "deadline_s": 0.4})
    name = f"lte, {'recorded' if trace else 'generated'}, offramp decides"
    return Case(_scenario(name, round(8 * seconds), [group]), "offramp")


def _outage(profile: Path, seconds: float) -> Case:
    """A link that falls silent and comes back slower; the device answers meanwhile."""
    good = [{"kind": "rate", "bps": 30e6}, {"kind": "delay", "seconds": 0.002}]
    back = [{"kind": "rate", "bps": 20e6}, {"kind": "delay", "seconds": 0.005}]
    phases = [
        {"name": "good", "seconds": 0.3 * seconds, "up": good},
        {"name": "outage", "seconds": 0.36 * seconds, "up": [{"kind": "outage"}]},
        {"name": "back", "up": back},
    ]
    group = _group(
        profile, {"described": {"phases": phases}}, 8, {"slowdown": 40, "deadline_s": 0.3}
    )
    return Case(_scenario("outage, device falls back", round(8 * seconds), [group]), "offramp")


def _shared(profile: Path, seconds: float) -> Case:
    """Three devices that now and then meet at one worker: their rates differ."""
    groups = [
        _group(profile, _WIFI, rate_hz, {"slowdown": 40}, f"camera {at}")
        for at, rate_hz in enumerate((7, 8, 9))
    ]
    scenario = _scenario("three devices, one server", round(8 * (seconds + 2)), groups)
    return Case(scenario, "offramp", skipped=16)


def _split(profile: Path, seconds: float) -> Case:
    """A cut inside the network, whose features are encoded; in the others inputs are sent.

    So slow is the device, and the link, that its best cut is after the first of eight segments.
    """
    way = [{"kind": "rate", "bps": 8e6}, {"kind": "delay", "seconds": 0.005}]
    group = _group(profile, {"described": {"up": way}}, 8, {"slowdown": 40, "deadline_s": 0.4})
    return Case(_scenario("cut inside the network", round(8 * seconds), [group]), "fixed_split")


def _group(
    profile: Path,
    link: dict[str, Any],
    rate_hz: float,
    agent: dict[str, Any],
    name: str = "camera",
) -> dict[str, Any]:
    return {
        "name": name,
        "profile": profile,
        "link": link,
        "arrivals": {"kind": "periodic", "rate_hz": rate_hz, "phase": 0},
        "agent": {"connect_s": 20, **agent},  # many processes start at once
    }


def _scenario(name: str, requests: int, groups: Sequence[dict[str, Any]]) -> Scenario:
    content = {
        "name": name,
        "requests": requests,
        "groups": groups,
        "timeline": {"devices": 0},
    }
    return build_settings(Scenario, content, name)
