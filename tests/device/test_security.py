"""How a device secures its connection: settings, and ``offramp run`` against servers that check."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from device.choice_of_server import ChoiceOfServer
from device.reconnect import REFUSED_S, Reconnection
from device.remote import Remote
from device.security import SecuritySettings
from offramp.address import Address
from offramp.errors import ConfigError

HERE, ELSEWHERE = Address("127.0.0.1", 50051), Address("edge.example", 50051)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("offramp_secret\nrest\n")
    return tmp_path / "token"


@pytest.fixture(autouse=True)
def _no_token_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFRAMP_TOKEN", raising=False)


def test_without_settings_nothing_is_shown_and_nothing_encrypted() -> None:
    shown = SecuritySettings().credentials(ELSEWHERE)
    assert (shown.authority, shown.pair, shown.token) == (None, None, None)


def test_a_token_is_the_first_line_of_its_file_or_of_the_environment(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SecuritySettings(token_file=token_file).credentials(HERE).token == "offramp_secret"
    monkeypatch.setenv("OFFRAMP_TOKEN", "other")
    assert SecuritySettings().credentials(HERE).token == "other"
    assert SecuritySettings(token_file=token_file).credentials(HERE).token == "offramp_secret"


def test_a_token_does_not_leave_this_machine_unencrypted_unless_that_is_forced(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="50051 unencrypted"):
        SecuritySettings(token_file=token_file).credentials(ELSEWHERE)
    forced = SecuritySettings(token_file=token_file, token_in_clear=True)
    assert forced.credentials(ELSEWHERE).token == "offramp_secret"
    monkeypatch.setenv("OFFRAMP_TOKEN", "secret")
    with pytest.raises(ConfigError, match="unencrypted"):
        SecuritySettings().credentials(ELSEWHERE)


@pytest.mark.parametrize("text", ["", "\n", "two words", "sn\N{SNOWMAN}w"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="token"):
        SecuritySettings(token_file=tmp_path / "token").credentials(HERE)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"certificate": "a"}, "key is missing"),
        ({"key": "a"}, "certificate is missing"),
        ({"certificate": "a", "key": "b"}, "certificate has no meaning without an authority"),
        ({"server_name": "a"}, "server_name has no meaning without an authority"),
    ],
)
def test_settings_that_say_half_are_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SecuritySettings.model_validate(values)


def test_who_was_refused_asks_again_rarely() -> None:
    reconnection = Reconnection()
    assert reconnection.ended(opened=False, refused=True) == REFUSED_S
    assert reconnection.ended(opened=False) == 0.2


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.states: queue.SimpleQueue[tuple[bool, str]] = queue.SimpleQueue()

    def on_message(self, server: object, message: object) -> None:
        pass

    def on_catalogue(self, server: object, catalogue: object) -> None:
        pass

    def on_left(self, server: object, reason: str) -> None:
        pass

    def serves(self, catalogue: object) -> bool:
        return True

    def on_ready(self) -> None:
        pass

    def on_state(self, server: object, up: bool, reason: str) -> None:
        self.states.put((up, reason))


def test_a_file_that_goes_while_the_device_runs_is_told_and_not_the_end(
    token_file: Path,
) -> None:
    choice = ChoiceOfServer(1, 10.0, lambda: 0.0)
    remote = Remote([HERE], SecuritySettings(token_file=token_file), choice, Listener())
    token_file.unlink()
    listener = remote._listener
    assert isinstance(listener, Listener)
    remote.start()
    up, reason = listener.states.get(timeout=10)
    remote.close()
    assert not up
    assert "cannot be read" in reason
