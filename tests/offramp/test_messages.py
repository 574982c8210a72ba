"""Messages survive the wire, and the schema, its comments and its generated code agree."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp import errors
from offramp.errors import FrameError, InputError
from offramp.frame import pack_short
from offramp.messages import (
    MAX_TENSORS,
    STATUS_CODES,
    Answer,
    Draining,
    Failure,
    Load,
    Probe,
    ProbeReply,
    Request,
    Timeline,
    failure_of,
)
from protos.offramp.v1 import inference_pb2 as pb

IDS = st.integers(0, 2**64 - 1)
SPANS = st.integers(0, 2**32 - 1).map(lambda us: us / 1e6)
TEXT = st.text(max_size=64)
FRAMES = st.lists(st.binary(max_size=8), min_size=1, max_size=4).map(tuple)
REQUESTS = st.builds(
    Request,
    id=IDS,
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    cut=st.integers(0, 2**32 - 1),
    frames=FRAMES,
    timeout_s=SPANS,
    plan_id=TEXT,
    reference=st.none(),
) | st.builds(
    lambda request, back: replace(request, id=request.id + back, reference=request.id),
    st.builds(
        Request,
        id=st.integers(0, 2**63),
        digest=st.just("ab" * 32),
        cut=st.just(1),
        frames=FRAMES,
    ),
    st.integers(1, 2**32 - 1),
)
TIMELINES = st.builds(
    Timeline,
    received_s=st.integers(0, 2**50).map(lambda us: us / 1e6),
    queue_s=SPANS,
    decode_s=SPANS,
    segment_s=st.lists(SPANS, max_size=4).map(tuple),
    encode_s=SPANS,
    total_s=SPANS,
    received_bytes=IDS,
)
LOADS = st.builds(
    Load,
    queued=st.integers(0, 2**32 - 1),
    running=st.integers(0, 2**32 - 1),
    queue_s=SPANS,
    cpu_share=st.integers(0, 1000).map(lambda share: share / 1000),
    price_s=SPANS,
)
FAILURES = st.builds(
    Failure,
    status=st.sampled_from([name for name in STATUS_CODES if name != "OK"]),
    message=TEXT,
    retry_after_s=SPANS,
)
ANSWERS = st.builds(
    Answer,
    kept=st.booleans(),
    exit=st.none() | st.integers(0, 2**32 - 2),
    id=IDS,
    outputs=FRAMES,
    failure=st.none() | FAILURES,
    timeline=TIMELINES,
    load=LOADS,
    plan_id=TEXT,
)
PROBES = st.builds(Probe, id=IDS, padding_bytes=st.integers(0, 100))
REPLIES = st.builds(ProbeReply, id=IDS, timeline=TIMELINES, load=LOADS)


@settings(deadline=None, max_examples=100)
@given(value=st.one_of(REQUESTS, TIMELINES, LOADS, ANSWERS, PROBES, REPLIES))
def test_what_is_sent_is_received(value: Any) -> None:
    message = value.to_proto()
    received = type(message).FromString(message.SerializeToString())
    assert type(value).from_proto(received) == value


GOOD = Request(1, "ab" * 32, 2, (b"frame",), 0.5, "plan")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("bundle_digest", b"", "bundle_digest has 0 bytes"),
        ("bundle_digest", b"x" * 31, "bundle_digest has 31 bytes"),
        ("bundle_digest", b"x" * 33, "bundle_digest has 33 bytes"),
        ("frames", [], "there are 0 frames"),
        ("frames", [b""] * (MAX_TENSORS + 1), "there are 257 frames"),
        ("plan_id", "x" * 65, "plan_id has 65 characters"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, said: str) -> None:
    message = GOOD.to_proto()
    message.ClearField(field)  # type: ignore[arg-type]
    if isinstance(value, list):
        message.frames.extend(value)
    else:
        setattr(message, field, value)
    with pytest.raises(InputError, match=said):
        Request.from_proto(message)


@pytest.mark.parametrize(
    ("timeout_s", "sent_us"),
    [(0.0, 0), (0.5, 500_000), (1e-9, 1), (-1.0, 1), (1e6, 2**32 - 1), (math.inf, 2**32 - 1)],
)
def test_a_deadline_never_becomes_none(timeout_s: float, sent_us: int) -> None:
    """Zero on the wire means no limit: a time that is all but gone must not be rounded to it."""
    request = Request(1, "ab" * 32, 0, (b"x",), timeout_s)
    assert request.to_proto().timeout_us == sent_us


def test_times_and_shares_beyond_the_fields_are_held_at_their_ends() -> None:
    assert Timeline(queue_s=-1.0, total_s=1e9).to_proto().queue_us == 0
    assert Timeline(total_s=1e9).to_proto().total_us == 2**32 - 1
    assert Load(cpu_share=7.0).to_proto().cpu_permille == 1000
    assert Load(cpu_share=-7.0).to_proto().cpu_permille == 0
    prices = [Load(price_s=given).to_proto().price_us for given in (-1.0, math.nan, math.inf)]
    assert prices == [0, 0, 2**32 - 1]


@pytest.mark.parametrize(("number", "tail"), [(None, ""), (0, "4001"), (2, "4003")])
def test_golden_bytes_of_an_answer_by_an_exit(number: int | None, tail: str) -> None:
    """Without one it is what it was before there were such exits."""
    answer, golden = Answer(3, (b"xy",), exit=number), bytes.fromhex("08031a02787922002a00" + tail)
    assert answer.to_proto().SerializeToString() == golden
    assert Answer.from_proto(pb.InferResponse.FromString(golden)) == answer


def test_golden_bytes_of_a_notice_to_leave() -> None:
    notice = Draining(accepts_s=2.0, answers_s=9.5)
    golden = bytes.fromhex("22090880897a10e0eac304")
    sent = pb.StreamResponse(draining=notice.to_proto())
    assert sent.SerializeToString() == golden
    assert Draining.from_proto(pb.StreamResponse.FromString(golden).draining) == notice
    assert Draining.from_proto(pb.Draining()) == Draining(0.0, 0.0)
    endless = pb.Draining(accepts_us=2**32 - 1, answers_us=2**32 - 1)
    assert Draining.from_proto(endless) == Draining(60.0, 60.0)


def test_golden_bytes_of_a_load() -> None:
    """What was written before there was a price is written still, and read."""
    before = bytes.fromhex("0803100118a09c0120f403")
    assert Load(3, 1, 0.02, 0.5).to_proto().SerializeToString() == before
    assert Load.from_proto(pb.ServerLoad.FromString(before)) == Load(3, 1, 0.02, 0.5)
    priced = Load(3, 1, 0.02, 0.5, 0.003)
    assert priced.to_proto().SerializeToString() == before + bytes.fromhex("28b817")


@pytest.mark.parametrize("number", [0, 300, 1_000_000, 200_000_000])
def test_a_request_takes_64_bytes_at_most_beyond_the_payload(number: int) -> None:
    """With what a frame of a calibrated codec adds; TCP, HTTP/2 and gRPC come on top."""
    payload = bytes(400)
    frame = pack_short(66, payload, 0)
    given = Request(number, "ab" * 32, 12, (frame,), timeout_s=0.4, plan_id="3c86dcce")
    assert len(given.to_proto().SerializeToString()) - len(payload) <= 64


def test_an_unknown_status_counts_as_internal() -> None:
    message = pb.InferResponse(id=3, status=pb.Status(code=99, message="new", retry_after_us=5))
    failure = Answer.from_proto(message).failure
    assert failure == Failure("INTERNAL", "new", 5e-6)


def test_an_absent_part_is_its_zero() -> None:
    assert Answer.from_proto(pb.InferResponse(id=3)) == Answer(3)
    assert ProbeReply.from_proto(pb.ProbeResponse(id=3)) == ProbeReply(3)


def test_statuses_are_those_of_google_rpc_and_of_the_errors() -> None:
    grpc = pytest.importorskip("grpc")
    codes = {code.name: code.value[0] for code in grpc.StatusCode}
    assert {name: codes[name] for name in STATUS_CODES} == STATUS_CODES
    for name in errors.__all__:
        assert getattr(errors, name).status in STATUS_CODES


def test_an_error_tells_a_peer_what_it_may_know() -> None:
    assert failure_of(FrameError("frame is short")) == Failure("INVALID_ARGUMENT", "frame is short")
    told = failure_of(RuntimeError("/home/secret"))
    assert told.status == "INTERNAL"
    assert "secret" not in told.message


SCHEMAS = tuple(f"protos/offramp/v1/{name}.proto" for name in ("inference", "edge", "admin"))
SERVICES = SCHEMAS[1:]


@pytest.mark.e2e
@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_generated_code_is_what_the_schema_generates(
    schema: str, repository: Path, tmp_path: Path
) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools generates the code")
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    if "service" in (repository / schema).read_text():
        outputs.append(f"--grpc_python_out={tmp_path}")
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, schema]
    subprocess.run(command, cwd=repository, check=True, timeout=60)
    made = {p.relative_to(tmp_path): p.read_text() for p in tmp_path.rglob("*.py*")}
    assert len(made) == (3 if schema in SERVICES else 2)
    assert made == {name: (repository / name).read_text() for name in made}


def test_services_are_apart_from_what_crosses_the_wire(repository: Path) -> None:
    found = tuple(s for s in SCHEMAS if "\nservice " in (repository / s).read_text())
    assert found == SERVICES
    folder = repository / "protos/offramp/v1"
    assert sorted(str(p.relative_to(repository)) for p in folder.glob("*.proto")) == sorted(SCHEMAS)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_definition_has_a_comment_directly_above_it(schema: str, repository: Path) -> None:
    lines = (repository / schema).read_text().splitlines()
    defined = re.compile(r"^\s*(message|enum|service|rpc|oneof)\s|^\s*[\w. ]+\s\w+ = \d+;")
    bare = [
        line
        for above, line in itertools.pairwise(lines)
        if defined.match(line) and not above.strip().startswith("//")
    ]
    assert bare == []


def test_a_reference_before_the_first_sample_is_refused() -> None:
    message = pb.InferRequest(id=3, bundle_digest=b"x" * 32, frames=[b""], reference=4)
    with pytest.raises(InputError, match="reference 4 of sample 3 is before the first one"):
        Request.from_proto(message)
    message.reference = 3
    assert Request.from_proto(message).reference == 0
