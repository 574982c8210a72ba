"""What the benchmark of the wire path sends is what a device sends, and every stage is timed."""

import pytest

from benchmarks.wire import STAGES, Case, make_bundle
from offramp.messages import Request
from protos.offramp.v1 import inference_pb2 as pb


@pytest.mark.parametrize("codec", ["raw", "lossless"])
def test_a_sample_passes_every_stage(tmp_path, codec):
    case = Case(make_bundle(tmp_path / "mean.offramp", 12_800), codec)
    assert tuple(name for name, _ in case.stages()) == STAGES
    assert all(took_s > 0 for _, took_s in case.stages())
    request = Request.from_proto(pb.StreamRequest.FromString(case.data).infer)
    assert request == Request.from_proto(case.plain())
    if codec == "raw":
        assert 51_200 < len(case.data) < 51_300
