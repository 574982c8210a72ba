"""The endpoint that Prometheus reads, over a real socket."""

import socket
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from offramp import exposition
from offramp.address import Address
from offramp.errors import AddressError
from offramp.exposition import MetricsEndpoint

LOOPBACK = Address("127.0.0.1", 0)


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    Counter("seen", "What was seen.", registry=registry).inc(3)
    return registry


def read(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


def test_it_shows_what_the_registry_collects(registry):
    endpoint = MetricsEndpoint(LOOPBACK, registry)
    try:
        said = read(endpoint.url)
    finally:
        endpoint.close()
    assert "seen_total 3.0" in said.splitlines()
    assert "seen_created" not in said
    with pytest.raises(urllib.error.URLError):
        read(endpoint.url)


def test_ipv6(registry):
    endpoint = MetricsEndpoint(Address("::1", 0), registry)
    try:
        assert endpoint.url.startswith("http://[::1]:")
        assert "seen_total" in read(endpoint.url)
    finally:
        endpoint.close()


def test_a_port_that_is_taken_is_named(registry):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(AddressError, match=f"{listen}: Address already in use; choose"):
            MetricsEndpoint(listen, registry)


def test_an_address_of_another_machine_is_named(registry):
    with pytest.raises(AddressError, match=r"192\.0\.2\.1:0"):
        MetricsEndpoint(Address("192.0.2.1", 0), registry)


def test_a_reader_that_says_nothing_is_left(registry, monkeypatch):
    monkeypatch.setattr(exposition._Handler, "timeout", 0.05)
    endpoint = MetricsEndpoint(LOOPBACK, registry)
    try:
        with socket.create_connection(("127.0.0.1", endpoint.address.port), timeout=10) as silent:
            assert silent.recv(1) == b""
        assert "seen_total" in read(endpoint.url)
    finally:
        endpoint.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics"]
