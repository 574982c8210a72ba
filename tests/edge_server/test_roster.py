"""The roster: who a caller is by what it shows, and files of clients that are refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.security.clients import Client
from edge_server.security.roster import ClientEntry, ClientsFile, Credentials, Roster, TokenEntry
from edge_server.security.tokens import new_token, token_hash
from offramp.errors import AuthenticationError, ConfigError
from offramp.settings import load_settings

HOST = "ipv4:127.0.0.1:4000"
TEXT = """\
clients:
  board-1:
    tokens:
      - sha256: {one}
      - {{sha256: {two}, expires: 2030-01-01T12:00:00Z}}
    models: [digits]
    weight: 2
    rate_hz: 30
  ops:
    may_administer: true
"""
NOON_S = datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    (tmp_path / "clients.yaml").write_text(
        TEXT.format(one=token_hash("one"), two=token_hash("two"))
    )
    return Roster(load_settings(ClientsFile, tmp_path / "clients.yaml"))


def test_a_token_names_its_client_with_its_rights(roster: Roster) -> None:
    client = roster.identify(Credentials(HOST, "one"), NOON_S)
    assert client == Client("board-1", 2, frozenset({"digits"}), 30, False)
    assert client.may_use("digits")
    assert not client.may_use("faces")


def test_two_tokens_are_valid_while_one_takes_the_place_of_the_other(roster: Roster) -> None:
    shown = [Credentials(HOST, token) for token in ("one", "two")]
    assert len({roster.identify(one, NOON_S - 1) for one in shown}) == 1


def test_a_token_that_expires_is_good_until_then_and_not_at_that_moment(roster: Roster) -> None:
    roster.identify(Credentials(HOST, "two"), NOON_S - 0.001)
    with pytest.raises(AuthenticationError, match="has expired"):
        roster.identify(Credentials(HOST, "two"), NOON_S)


def test_a_certificate_names_a_client_that_shows_no_token(roster: Roster) -> None:
    shown = Credentials(HOST, None, ("elsewhere.example", "ops"))
    assert roster.identify(shown, NOON_S) == Client("ops", may_administer=True)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (Credentials(HOST), "the token is missing"),
        (Credentials(HOST, ""), "not known here"),
        (Credentials(HOST, "three"), "not known here"),
        (Credentials(HOST, token_hash("one")), "not known here"),
        (Credentials(HOST, "three", ("ops",)), "not known here"),
        (Credentials(HOST, None, ("board-9",)), "'board-9', which is no client here"),
    ],
)
def test_who_shows_nothing_that_is_known_is_nobody(
    roster: Roster, shown: Credentials, said: str
) -> None:
    with pytest.raises(AuthenticationError, match=said):
        roster.identify(shown, NOON_S)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_other_token_is_taken_for_one_that_is_known(token: str) -> None:
    known = new_token()
    entry = ClientEntry(tokens=(TokenEntry(sha256=token_hash(known)),))
    roster = Roster(ClientsFile(clients={"board": entry}))
    assert roster.identify(Credentials(HOST, known), 0) == Client("board")
    with pytest.raises(AuthenticationError):
        roster.identify(Credentials(HOST, token), 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clients: {a: {tokns: []}}", "unknown key 'clients.a.tokns'; did you mean 'tokens'?"),
        ("client: {}", "unknown key 'client'; did you mean 'clients'?"),
        ("clients: {a: {tokens: [{sha256: secret}]}}", "sha256 must match the pattern"),
        ("clients: {a: {weight: 0}}", "weight must be above 0"),
        ("clients: {a: {rate_hz: true}}", "true is no number"),
        ("clients: {' ': {}}", "is no name"),
        (
            f"clients: {{a: {{tokens: [{{sha256: {'ab' * 32}}}]}}, "
            f"b: {{tokens: [{{sha256: {'ab' * 32}}}]}}}}",
            "'a' and 'b' have the same token abababab...",
        ),
        (
            f"clients: {{a: {{tokens: [{{sha256: {'ab' * 32}, expires: 2030-01-01 12:00:00}}]}}}}",
            "has no time zone",
        ),
        (f"clients: {{a: {{tokens: [{{sha256: {'ab' * 32}, expires: soon}}]}}}}", "is no time"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "clients.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(ClientsFile, tmp_path / "clients.yaml")
    assert said in str(caught.value)
    assert str(tmp_path / "clients.yaml") in str(caught.value)


def test_a_day_alone_is_its_beginning_in_utc(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        f"clients: {{a: {{tokens: [{{sha256: {'ab' * 32}, expires: 2030-01-01}}]}}}}"
    )
    (token,) = load_settings(ClientsFile, tmp_path / "c.yaml").clients["a"].tokens
    assert token.expires == datetime(2030, 1, 1, tzinfo=UTC)


def test_the_example_of_the_page_is_a_file_of_clients(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "edge-server.md").read_text()
    (example,) = re.findall(r"```yaml\n(clients:.*?)```", page, re.DOTALL)
    (tmp_path / "clients.yaml").write_text(example)
    clients = load_settings(ClientsFile, tmp_path / "clients.yaml").clients
    assert {name: len(entry.tokens) for name, entry in clients.items()} == {"board-1": 2, "ops": 0}


def test_tokens_are_long_random_and_kept_as_hashes_alone() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == len("offramp_") + 43 for token in tokens)  # 43 digits of 6 bits
    assert token_hash("abc").startswith("ba7816bf8f01cfea")  # of FIPS 180-4
