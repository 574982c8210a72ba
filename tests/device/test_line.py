"""One stream, where what carries it fails in ways that nobody foresees."""

import queue

import pytest

from device import line as line_module
from device.line import Line
from device.security import SecuritySettings
from offramp.address import Address
from offramp.messages import Probe, Request
from protos.offramp.v1 import inference_pb2 as pb


class Owner:
    """Hears of the end."""

    def __init__(self):
        self.ended = queue.SimpleQueue()
        self.messages = []

    def on_message(self, line, message):
        self.messages.append(message.id)

    def on_ended(self, line, reason):
        self.ended.put(reason)


def test_a_reply_to_what_was_no_probe_is_not_taken():
    """Probes and samples share their ids: a reply to a sample would end it without an answer."""
    owner = Owner()
    line = Line(Address("edge", 1), SecuritySettings(), owner)
    line.send(Request(1, "00" * 32, 0, (b"",)))
    line.send(Probe(2))
    for number in (1, 2, 2, 3):
        line._deliver(pb.StreamResponse(probe=pb.ProbeResponse(id=number)))
    assert owner.messages == [2]
    assert line.due == {1}


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
