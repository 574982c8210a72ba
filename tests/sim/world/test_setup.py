"""The setup of a scenario: what its facts say, and what they do not."""

import json

import pytest

from offramp.settings import build_settings
from sim.world.scenario import Scenario
from sim.world.setup import describe_scenario


@pytest.fixture
def describe(library):
    def describe_one(link, arrivals=None, **given):
        group = {"link": link, "agent": {"slowdown": 4}, "arrivals": arrivals}
        description = {"requests": 5, "groups": [group], **given}
        return describe_scenario(build_settings(Scenario, description, "scenario"), library)

    return describe_one


def test_it_is_plain_json(describe):
    setup = describe("lte", {"kind": "poisson", "rate_hz": 5})
    assert json.loads(json.dumps(setup)) == setup
    (group,) = setup["groups"]
    assert group["link"] == "preset lte"
    assert group["arrivals"] == "poisson rate_hz 5"
    assert group["slowdown"] == 4
    assert group["whole_model_s"] == pytest.approx(0.08)
    assert group["server"] == "edge"
    assert group["exits"] == ["middle"]


def test_strategies_that_know_the_future_are_named(describe):
    assert {"static", "oracle"} == set(describe("lte")["clairvoyant"])


def test_files_are_named_without_their_folder(describe, tmp_path):
    trace = tmp_path / "rate.csv"
    trace.write_text("seconds,mbps\n0,5\n2,1\n")
    link = {"trace": str(trace), "delay_s": 0.01, "offset_s": 7}
    text = describe(link)["groups"][0]["link"]
    assert text == "trace rate.csv, 10 ms one way, each device 7 s further on"
    inside = {"described": {"up": [{"kind": "rate", "trace": str(trace)}]}}
    assert describe(inside)["groups"][0]["link"] == "rate rate.csv"


def test_conditions_are_named_with_what_was_said_of_them(describe):
    up = [
        {"kind": "rate", "bps": 4e6},
        {"kind": "delay", "seconds": 0.01},
        {"kind": "outage", "windows_s": [[3, 5], [7, 8]]},
    ]
    text = describe({"described": {"up": up}})["groups"][0]["link"]
    assert text == "rate 4 Mbit/s + delay seconds 0.01 + outage 2 windows_s"
    phases = [{"name": "good", "seconds": 2, "up": []}, {"name": "poor", "up": up[:1]}]
    text = describe({"described": {"phases": phases}})["groups"][0]["link"]
    assert text == "good: nothing in the way; poor: rate 4 Mbit/s"


def test_devices_may_be_alone(describe):
    setup = describe("lte", servers=[])
    assert setup["servers"] == []
    assert setup["groups"][0]["server"] is None
