"""A server and a device in processes of their own; a collector puts their spans together."""

import collections
import json
import re
import subprocess
import sys
import time
from concurrent import futures

import grpc
import numpy as np
import pytest

from offramp.embedded.cluttered_digits import load
from tests.device.test_agent import profile  # noqa: F401

pytest.importorskip("opentelemetry.proto.collector.trace.v1")
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2,
    trace_service_pb2_grpc,
)

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()"]
LIMIT_S = 60


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that come, by the service that they are of."""

    def __init__(self):
        self.spans = collections.defaultdict(list)
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(self, request, context):  # noqa: N802
        for part in request.resource_spans:
            told = {each.key: each.value.string_value for each in part.resource.attributes}
            for scope in part.scope_spans:
                self.spans[told["service.name"]].extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def close(self):
        self._server.stop(0).wait(10)


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def samples(tmp_path):
    images, labels = load("test", 40)
    np.savez(tmp_path / "test.npz", inputs=images, labels=labels)
    return tmp_path / "test.npz"


@pytest.fixture
def here(profile):  # noqa: F811
    return profile


def run(bundle, samples, here, *options):
    """Runs a device to its end, and returns its lines."""
    what = ("run", bundle, "--source", samples, "--profile", here, "--rate", "20")
    ran = subprocess.run(
        [*COMMAND, *what, *options, "--quiet", "--out", "-"],
        stdout=subprocess.PIPE,
        timeout=LIMIT_S,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_spans_of_a_sample_are_one_trace(collector, embedded_file, samples, here):
    serving = [*COMMAND, "serve", embedded_file, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*serving, "--traces", collector.url], stdout=subprocess.PIPE, text=True
    ) as server:
        address = re.fullmatch(r"listening on (.*)\n", server.stdout.readline())[1]
        settings = samples.with_name("agent.yaml")
        settings.write_text("trace_share: 0.5\n")
        where = ("--server", address, "--traces", collector.url, "--settings", settings)
        lines = run(embedded_file, samples, here, *where, "--strategy", "server_only")
        server.terminate()
        assert server.wait(LIMIT_S) == 0
    traced = {line["trace"]: line for line in lines if line.get("trace")}
    assert 0 < len(traced) < 40
    ours = {span.trace_id.hex(): span for span in collector.spans["offramp-device"]
            if span.name == "sample"}  # fmt: skip
    links = {span.trace_id.hex(): span for span in collector.spans["offramp-device"]
             if span.name == "link"}  # fmt: skip
    assert {trace[:32] for trace in traced} == ours.keys()
    serves = [span for span in collector.spans["offramp-server"] if span.name == "serve"]
    answered = [line for line in traced.values() if line["by"] == "server"]
    assert len(answered) <= len(serves) <= len(links)
    for span in serves:
        link = links[span.trace_id.hex()]
        assert span.parent_span_id == link.span_id
        assert link.parent_span_id == ours[span.trace_id.hex()].span_id
        # one machine, one clock: the server works while its device waits
        assert link.start_time_unix_nano <= span.end_time_unix_nano
        assert span.start_time_unix_nano <= link.end_time_unix_nano
    names = {span.name for span in collector.spans["offramp-server"]}
    assert {"serve", "decode", "step 1", "encode"} <= names


def test_a_collector_that_is_not_there_costs_no_answer_and_little_time(
    embedded_file, samples, here
):
    began_s = time.monotonic()
    lines = run(embedded_file, samples, here, "--traces", "http://127.0.0.1:1")
    assert sum(line["kind"] == "result" for line in lines) == 40
    assert time.monotonic() - began_s < LIMIT_S / 2
