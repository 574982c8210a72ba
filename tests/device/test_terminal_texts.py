"""What peers and bundles say is shown as it is: none of it is markup to the terminal."""

import io

import pytest
from rich import console

from device import obtain
from device.sinks import TerminalSink

NAMES = ["net[/x]", "[bold]net", "net[", "[link=https://example.org]net[/link]"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_that_is_fetched_is_named_as_it_is(name, monkeypatch):
    shown = Terminal()
    terminal = console.Console(file=shown, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(console, "Console", lambda **options: terminal)
    with obtain._bar(name, show=True) as progress:
        progress(1, 2)
    assert f"fetching {name}" in shown.getvalue()


def test_what_a_server_says_gives_the_terminal_no_orders():
    shown = io.StringIO()
    sink = TerminalSink(None, shown)
    sink.write(
        {"kind": "link", "at_s": 1.0, "up": False, "reason": "\x1b[2J\n    9.0 s  connected"}
    )
    sink.close()
    assert shown.getvalue() == "    1.0 s  not connected: \ufffd[2J     9.0 s  connected\n"


@pytest.mark.parametrize("name", NAMES)
def test_an_exit_that_answers_is_named_as_it_is(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    shown = Terminal()
    sink = TerminalSink(2, shown)
    sink.write({"kind": "result", "id": 0, "status": "ok", "by": name, "latency_s": 0.02})
    sink._bar.refresh()
    assert f"{name} 100%" in shown.getvalue()
    sink.close()
