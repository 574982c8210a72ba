"""The log as JSON lines, and as text."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest

from offramp.logs import IDS, _JsonFormatter

log = logging.getLogger("edge_server.test")


@pytest.fixture
def lines():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonFormatter())
    log.addHandler(handler)
    log.propagate = False
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.removeHandler(handler)
    log.propagate = True


def test_a_line_says_when_who_and_what_and_what_it_is_about(lines):
    before = datetime.now(UTC)
    ids = {"client": "camera 7", "stream": 3, "sample": 0, "plan": "p1", "bundle": "ab" * 32}
    log.warning("sample failed at cut %d", 2, extra=ids)
    log.warning("a line\nand another")
    first, second = lines()
    assert before <= datetime.fromisoformat(first.pop("time")) <= datetime.now(UTC)
    told = {"level": "warning", "logger": "edge_server.test", "message": "sample failed at cut 2"}
    assert first == {**told, **ids}
    assert set(ids) == set(IDS)
    assert second.keys() == {"time", "level", "logger", "message"}
    assert second["message"] == "a line\nand another"


def test_an_exception_stands_in_its_line(lines):
    try:
        raise ValueError("odd")
    except ValueError:
        log.exception("it failed")
    (line,) = lines()
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: odd")


def test_what_is_no_json_is_written_as_text(lines):
    log.error("failed", extra={"sample": {1}})
    assert lines()[0]["sample"] == "{1}"
