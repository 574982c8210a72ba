"""What is made of runs: the energy of groups."""

import pytest

from sim.world.results import gather_results

POWER = {
    "name": "board",
    "source": "made up",
    "idle_w": 1.0,
    "compute_w": 2.0,
    "radio_w": 3.0,
    "radio_up_w": 0.5,
    "radio_tail_s": 10.0,
}


def group(name, rate_hz):
    return {
        "name": name,
        "count": 2,
        "server": name,
        "link": "wifi",
        "arrivals": {"kind": "periodic", "rate_hz": rate_hz},
    }


@pytest.fixture
def energies_j(run):
    """Runs groups, each with a server to itself; returns what each of them takes."""

    def simulate(*groups):
        servers = [{"name": one["name"]} for one in groups]
        scenario = {"requests": 40, "warm_up_s": 1, "servers": servers, "groups": list(groups)}
        figures = run(scenario, "server_only")
        facts = [{"name": one["name"], "power": POWER} for one in groups]
        results = gather_results("", {"groups": facts}, [figures])
        return {name: one["energy_j"] for name, one in results["runs"][0]["groups"].items()}

    return simulate


def test_a_group_that_ends_early_takes_what_it_takes_alone(energies_j):
    """Behind its last message a radio stays up no longer than its requests are apart."""
    quick, slow = group("quick", 20), group("slow", 0.5)
    alone_j = energies_j(quick)["quick"]
    together_j = energies_j(quick, slow)
    assert together_j["quick"] == pytest.approx(alone_j)
    # Two devices, for the second that the requests last after the warm-up.
    assert alone_j < 2 * (40 / 20 + 1) * (0.5 + 2.0 + 3.0)
    assert together_j["slow"] > 10 * alone_j
