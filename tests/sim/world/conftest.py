"""A synthetic model of two segments and one exit, with exact times, and a small world around it."""

import pytest

from offramp.exits import FittedPolicy, get
from offramp.settings import build_settings
from sim.world.library import Library
from sim.world.outcomes import Outcomes
from sim.world.run import simulate
from sim.world.scenario import Scenario


@pytest.fixture(scope="session")
def synthetic(two_segments):
    """A feature takes 890 bytes, so that a message with its overhead is 1000, an image 9890."""
    return two_segments(9890, 890)


@pytest.fixture(scope="session")
def bundle(synthetic):
    return synthetic[0]


@pytest.fixture(scope="session")
def calibration(synthetic):
    return synthetic[1]


@pytest.fixture(scope="session")
def planner(bundle, calibration, two_segments_planner):
    return two_segments_planner(bundle, calibration)


@pytest.fixture(scope="session")
def outcomes(bundle, calibration):
    return Outcomes(bundle, calibration, FittedPolicy(get("confidence")))


class SmallLibrary(Library):
    """Everybody has the synthetic model, whatever a scenario names."""

    def __init__(self, planner, outcomes):
        super().__init__()
        self.bundle = lambda path: planner.bundle
        self._candidates = lambda path, min_cut: planner.candidates
        self._outcomes = lambda path: outcomes
        self._given = planner

    def board(self, group):
        return self._given.device

    def tail_profile(self, server, group):
        return self._given.server.slowed(server.slowdown)


@pytest.fixture(scope="session")
def library(planner, outcomes):
    return SmallLibrary(planner, outcomes)


@pytest.fixture
def run(library):
    """Simulates a scenario of the synthetic model, whose devices are not slowed by default."""

    def simulate_one(description, strategy="offramp", seed=0, watch=None):
        for group in description["groups"]:
            group["agent"] = {"slowdown": 1, **group.get("agent", {})}
        scenario = build_settings(Scenario, description, "scenario")
        return simulate(scenario, strategy, seed, library, watch)

    return simulate_one
