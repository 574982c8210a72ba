"""The compose file: what every container may do, and who reaches whom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from partitioner.strategies import STRATEGIES

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("edge-server", "link-shaper", "device")
SEEING = ("prometheus", "grafana")
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")

each_service = pytest.mark.parametrize("name", SERVICES)
every_service = pytest.mark.parametrize("name", SERVICES + SEEING)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file with every variable at its default."""
    text = (REPOSITORY / "docker-compose.yml").read_text()
    parsed = yaml.safe_load(DEFAULT.sub(r"\1", text))
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return dict(compose["services"])


def test_services_are_device_link_and_server(services: dict[str, Any]) -> None:
    assert {name for name in services if "profiles" not in services[name]} == set(SERVICES)


def test_what_shows_metrics_is_started_by_a_profile(services: dict[str, Any]) -> None:
    assert {name for name in services if services[name].get("profiles") == ["seeing"]} == set(
        SEEING
    )
    assert all("build" not in services[name] for name in SEEING)
    tags = [services[name]["image"].partition(":")[2] for name in SEEING]
    assert all(re.fullmatch(r"v?\d+\.\d+\.\d+", tag) for tag in tags)


@every_service
def test_is_confined(services: dict[str, Any], name: str) -> None:
    service = services[name]
    uid, _, gid = service["user"].partition(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["stop_grace_period"]
    refused = {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"}
    assert not refused & set(service)


@every_service
def test_only_grafana_has_a_port_and_only_for_this_machine(
    services: dict[str, Any], name: str
) -> None:
    assert services[name].get("ports", []) == ["127.0.0.1:3000:3000"] * (name == "grafana")


@every_service
def test_has_limits(services: dict[str, Any], name: str) -> None:
    limits = services[name]["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+M", limits["memory"])
    assert limits["pids"] > 0


@every_service
def test_has_a_health_check_unless_it_is_the_job(services: dict[str, Any], name: str) -> None:
    check = services[name].get("healthcheck")
    assert (check is None) == (name == "device")
    if check:
        assert check["test"][0] in ("CMD", "CMD-SHELL")
        assert {"interval", "timeout", "retries"} <= set(check)


@each_service
def test_waits_until_what_it_needs_is_healthy(services: dict[str, Any], name: str) -> None:
    needed = services[name].get("depends_on", {})
    assert set(needed) == set(SERVICES[: SERVICES.index(name)])
    assert all(each["condition"] == "service_healthy" for each in needed.values())


@each_service
def test_image_is_built_here_and_named_exactly(services: dict[str, Any], name: str) -> None:
    _, _, tag = services[name]["image"].partition(":")
    assert tag not in ("", "latest")
    assert services[name]["build"]["target"] == name


@every_service
def test_mounts_are_files_of_this_repository_and_read_only(
    services: dict[str, Any], name: str
) -> None:
    for mount in services[name].get("volumes", []):
        if mount["type"] == "tmpfs":
            continue
        assert mount["type"] == "bind"
        assert mount["read_only"] is True
        assert (REPOSITORY / mount["source"]).is_file()


def test_device_reaches_the_server_through_the_link_only(services: dict[str, Any]) -> None:
    device, server = (set(services[name]["networks"]) for name in ("device", "edge-server"))
    assert not device & server
    assert set(services["link-shaper"]["networks"]) == device | server


def test_networks_lead_nowhere_but_for_that_of_the_port(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    outward = {name for name, net in compose["networks"].items() if not net.get("internal")}
    assert outward == {"seeing-side"}
    assert not any(outward & set(services[name]["networks"]) for name in SERVICES)


def test_strategies_are_known_and_the_same_for_link_and_device(services: dict[str, Any]) -> None:
    texts = {services[name]["environment"]["STRATEGIES"] for name in ("device", "link-shaper")}
    assert len(texts) == 1
    names = texts.pop().split()
    assert set(names) <= set(STRATEGIES)
    assert {"device_only", "server_only", "fixed_split", "offramp"} <= set(names)


def test_device_tells_the_limits_that_it_has(services: dict[str, Any]) -> None:
    device = services["device"]
    limits = device["deploy"]["resources"]["limits"]
    assert device["environment"]["CPUS"] == limits["cpus"]
    assert device["environment"]["MEMORY"] == limits["memory"]
