"""Addresses: what HOST:PORT may be, and that a wrong one fails when settings are built."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.settings import AgentSettings
from edge_server.settings import ServerSettings
from offramp.address import Address
from offramp.errors import ConfigError
from offramp.settings import load_settings


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:50051", "localhost", 50051),
        ("edge-box.example:65535", "edge-box.example", 65535),
        ("[::1]:1", "::1", 1),
        ("[2001:DB8:0::1]:80", "2001:db8::1", 80),
        ("host:00080", "host", 80),
    ],
)
def test_what_is_an_address(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":", "here", "50051", ":50051", "host:", "host:65536", "host:-1", "host:+1", "host: 1",
     "host:1 ", "host:1\n", "host:٣", "host:1e3", "::1:50051", "[::1]", "[]:1", "[host]:1",
     "[::1:1", "a:b:1", "http://host:1", "a b:1", "me@host:1", "host:100000"],
)  # fmt: skip
def test_what_is_none_is_said_with_the_text(text: str) -> None:
    with pytest.raises(ConfigError, match="is not HOST:PORT; write for example") as caught:
        Address.parse(text)
    assert str(caught.value).startswith(repr(text))


def test_a_peer_listens_on_some_port() -> None:
    assert Address.parse_peer("edge:1") == Address("edge", 1)
    with pytest.raises(ConfigError, match="'edge:0' names no port"):
        Address.parse_peer("edge:0")


@given(
    st.ip_addresses().map(str) | st.from_regex(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", fullmatch=True),
    st.integers(0, 65535),
)
def test_an_address_is_read_as_it_is_written(host: str, port: int) -> None:
    assert Address.parse(str(Address(host, port))) == Address(host, port)


def test_settings_hold_addresses_and_write_them_as_text(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("server: '[::1]:50051'\n")
    settings = load_settings(AgentSettings, file)
    assert settings.server == (Address("::1", 50051),)
    assert settings.model_dump()["server"] == "[::1]:50051"
    assert load_settings(AgentSettings, file, settings.model_dump()) == settings
    assert AgentSettings().model_dump()["server"] is None
    several = AgentSettings(server=["a:1", "b:2"])
    assert several.server == (Address("a", 1), Address("b", 2))
    assert several.model_dump()["server"] == ["a:1", "b:2"]
    assert AgentSettings(**several.model_dump()) == several
    assert ServerSettings(bundles=(Path("a"),)).listen == Address("127.0.0.1", 50051)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server: here", "server: 'here' is not HOST:PORT"),
        ("server: 50051", "server: '50051' is not HOST:PORT"),
        ("server: {host: here, port: 70000}", "server: .* is not HOST:PORT"),
        ("server: edge:0", "server: 'edge:0' names no port"),
        ("server: [edge:1, here]", "server: 'here' is not HOST:PORT"),
        ("server: [edge:1, edge:1]", "server: edge:1 is named twice; name each server once"),
    ],
)
def test_a_wrong_address_fails_when_settings_are_built(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"agent.yaml: {said}"):
        load_settings(AgentSettings, file)
