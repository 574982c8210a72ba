from __future__ import annotations

import pytest

from edge_server.security.clients import Client, peer_client


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("ipv4:10.0.0.7:40312", "ipv4:10.0.0.7"),
        ("ipv6:%5B::1%5D:40312", "ipv6:[::1]"),
        ("unix:/run/edge.sock", "unix:/run/edge.sock"),
        ("", ":"),
    ],
)
def test_a_connection_without_a_name_is_known_by_its_host(peer: str, name: str) -> None:
    assert peer_client(peer) == Client(name)


def test_a_client_may_use_the_models_that_it_is_given() -> None:
    assert Client("board").may_use("digits")
    assert Client("board", models=frozenset({"digits"})).may_use("digits")
    assert not Client("board", models=frozenset({"digits"})).may_use("faces")
