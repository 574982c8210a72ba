"""One stream, where what carries it fails in ways that nobody foresees."""

import queue

import pytest

from device import line as line_module
from device.line import Line
from device.security import SecuritySettings
from offramp.address import Address


class Owner:
    """Hears of the end."""

    def __init__(self):
        self.ended = queue.SimpleQueue()

    def on_ended(self, line, reason):
        self.ended.put(reason)


@pytest.mark.parametrize(
    "error", [RuntimeError("cython went home"), ValueError(3), OSError("disk")]
)
def test_whatever_fails_the_owner_is_told_and_may_try_again(monkeypatch, error):
    def fail(address, security):
        raise error

    monkeypatch.setattr(line_module, "open_channel", fail)
    owner = Owner()
    line = Line(Address("edge", 1), SecuritySettings(), owner)
    line.start()
    reason = owner.ended.get(timeout=10)
    assert reason.startswith("edge:1: the connection failed (")
    assert repr(error) in reason
    line.join(10)
