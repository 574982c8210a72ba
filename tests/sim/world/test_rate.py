"""A device is told how many requests come a second: as many as do."""

import pytest

from sim.world.build import build_world
from sim.world.library import Library
from sim.world.scenario import Scenario


@pytest.mark.parametrize(
    ("arrivals", "rate_hz"),
    [
        ({"kind": "periodic", "rate_hz": 8, "phase": 0}, 8.0),
        ({"kind": "periodic", "rate_hz": 0.3}, 0.3),
        ({"kind": "poisson", "rate_hz": 20}, 20.0),
        ({"kind": "bursty", "rate_hz": 10, "burstiness": 30, "burst_s": 10}, 10.0),
    ],
)
def test_a_device_knows_the_rate_of_its_requests(repository, arrivals, rate_hz):
    profile = repository / "examples/scenarios/profile.json"
    group = {"profile": profile, "link": "wifi", "arrivals": arrivals}
    world = build_world(Scenario(requests=5, groups=[group]), "device_only", 0, Library())
    assert world.devices[0].controller.rate_hz == pytest.approx(rate_hz, rel=1e-12)
