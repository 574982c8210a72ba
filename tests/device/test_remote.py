"""The connection with lines in memory: what goes where, and what is told, around a move."""

import queue
import threading

import pytest

from device import remote as remote_module
from device.choice_of_server import ChoiceOfServer
from device.leaving import LINGER_S, Leaving, Limits
from device.remote import Remote
from device.security import SecuritySettings
from offramp.address import Address
from offramp.catalogue import Catalogue
from offramp.messages import Answer, Draining, Request

FIRST, SECOND = Address("first", 1), Address("second", 1)


class Line:
    """Stands for `device.line.Line`: does as it is told, and writes down what it is asked."""

    lines: queue.SimpleQueue = queue.SimpleQueue()

    def __init__(self, address, security, owner, *, patient=False, look=False):
        self.address, self.owner, self.look = address, owner, look
        self.refusal, self.is_ready = None, True
        self.due, self.kept, self.sent = set(), [], []
        self.left, self.closed = threading.Event(), threading.Event()

    def start(self):
        self.lines.put(self)

    def send(self, message):
        self.due.add(message.id)
        self.sent.append(message.id)

    def leave(self):
        self.left.set()

    def close(self):
        self.closed.set()
        self.owner.on_ended(self, "closed")

    def join(self, limit_s):
        pass


class Listener:
    """Puts what it is told into a queue."""

    def __init__(self):
        self.told = queue.SimpleQueue()

    def on_message(self, server, message):
        self.told.put((server, message))

    def on_state(self, server, up, reason):
        self.told.put((server, up, reason))

    def on_left(self, server, reason):
        self.told.put((server, "left", reason))

    def on_catalogue(self, server, catalogue):
        pass

    def on_ready(self):
        pass

    def serves(self, catalogue):
        return True


@pytest.fixture
def start(monkeypatch):
    """Starts a connection to some servers; returns it, and who listens."""
    monkeypatch.setattr(Line, "lines", queue.SimpleQueue())
    monkeypatch.setattr(remote_module, "Line", Line)
    begun = []

    def begin(*addresses):
        listener = Listener()
        choice = ChoiceOfServer(len(addresses), 10.0, lambda: 0.0)
        begun.append(Remote(addresses, SecuritySettings(), choice, listener))
        begun[-1].start()
        return begun[-1], listener.told

    yield begin
    for each in begun:
        each.close()


def opened():
    line = Line.lines.get(timeout=10)
    line.owner.on_catalogue(line, Catalogue())
    return line


def request(number, reference=None):
    return Request(number, "ab" * 32, 0, (b"x",), reference=reference)


@pytest.fixture
def moved(start):
    """A move from the first server, which has samples 0 and 1 and keeps 0, to the second."""
    remote, told = start(FIRST, SECOND)
    first = opened()
    assert told.get(timeout=10) == (FIRST, True, "")
    remote.send(request(0))
    remote.send(request(1))
    first.due.discard(0)
    first.kept.append(0)
    first.owner.on_draining(first, Draining(accepts_s=30.0, answers_s=60.0))
    second = opened()
    assert told.get(timeout=10) == (SECOND, True, "first:1 is stopping")
    return remote, told, first, second


def test_new_samples_go_to_the_new_server_and_due_answers_are_taken_from_the_old(moved):
    remote, told, first, second = moved
    remote.send(request(2))
    assert (first.sent, second.sent) == ([0, 1], [2])
    first.owner.on_message(first, Answer(1, kept=True))
    assert told.get(timeout=10) == (FIRST, Answer(1))  # what it keeps is of no use any more
    second.owner.on_message(second, Answer(2, kept=True))
    assert told.get(timeout=10) == (SECOND, Answer(2, kept=True))


def test_a_change_goes_to_the_server_that_has_what_it_is_the_change_from(moved):
    remote, _, first, second = moved
    remote.send(request(2, reference=0))
    remote.send(request(3, reference=2))
    assert (first.sent, second.sent) == ([0, 1, 2], [3])
    assert first.left.wait(10)  # after a while it is sent nothing more
    remote.send(request(4, reference=0))
    assert second.sent == [3, 4]


def test_what_a_server_that_was_left_owes_at_its_end_is_told_to_be_lost(moved):
    _, told, first, _ = moved
    first.owner.on_ended(first, "it is gone")
    server, lost = told.get(timeout=10)
    assert (server, lost.id, lost.failure.status) == (FIRST, 1, "UNAVAILABLE")
    assert lost.failure.message == "it is gone"


def test_the_only_server_is_left_at_once_and_its_answers_are_not_given_up(start):
    remote, told = start(FIRST)
    first = opened()
    assert told.get(timeout=10) == (FIRST, True, "")
    remote.send(request(0))
    first.owner.on_draining(first, Draining(accepts_s=30.0, answers_s=60.0))
    assert told.get(timeout=10) == (FIRST, "left", "first:1 is stopping")
    assert first.left.wait(10)
    again = Line.lines.get(timeout=10)
    again.owner.on_ended(again, "first:1 does not answer")  # nobody is told: an answer is due
    first.due.discard(0)
    first.owner.on_message(first, Answer(0))
    assert told.get(timeout=10) == (FIRST, Answer(0))
    first.owner.on_ended(first, "it has stopped")
    again = Line.lines.get(timeout=10)
    again.owner.on_ended(again, "first:1 does not answer")
    assert told.get(timeout=10) == (FIRST, False, "first:1 does not answer")


def test_a_server_that_stops_is_used_for_as_long_as_it_takes_samples(start):
    remote, told = start(FIRST, SECOND)
    first = opened()
    told.get(timeout=10)
    first.owner.on_draining(first, Draining(accepts_s=0.3, answers_s=60.0))
    second = Line.lines.get(timeout=10)
    remote.send(request(0))
    assert first.sent == [0]
    second.owner.on_ended(second, "second:1 does not answer")
    assert told.get(timeout=10) == (FIRST, "left", "first:1 is stopping")
    remote.send(request(1))
    assert first.sent == [0]


def test_a_line_that_was_left_is_ended_in_time():
    line, leaving = Line(FIRST, None, None), Leaving()
    line.close = line.closed.set
    line.kept.append(7)
    leaving.add(1.0, line, Limits(accepts_s=100.0, answers_s=5.0), lingers=True)
    assert leaving.wake_s == 1.0 + LINGER_S
    assert leaving.line_of(7) is line
    assert leaving.line_of(8) is None
    leaving.passed(1.0 + LINGER_S)
    assert line.left.is_set()
    assert leaving.line_of(7) is None
    assert leaving.wake_s == 5.0
    leaving.passed(5.0)
    assert line.closed.is_set()
    assert leaving.lines == (line,)
    assert leaving.ended(line)
    assert not leaving.ended(line)
    assert leaving.lines == ()
