"""What a server says of its bundles: golden bytes, and what is refused."""

from __future__ import annotations

import pytest

from offramp.administration import HeldBundle, read_list
from offramp.catalogue import Offer
from offramp.errors import BundleError
from protos.offramp.v1 import admin_pb2 as pb

HELD = HeldBundle(
    Offer("ab" * 32, "digits", 3, "onnxruntime", manifest_bytes=7, superseded=True),
    "leaving",
    size_bytes=1000,
    in_flight=2,
    idle_s=1.5,
    sources=("arguments", "/srv/digits.offramp"),
)
GOLDEN = (
    "0a3d" + "0a20" + "ab" * 32 + "1206646967697473" + "1803" + "220b6f6e6e7872756e74696d65"
    "2807" + "3001" + "1004" + "18e807" + "2002" + "28e0c65b"
    "3209617267756d656e7473" + "32132f7372762f6469676974732e6f666672616d70"
)  # fmt: skip


def test_golden_bytes() -> None:
    assert HELD.to_proto().SerializeToString(deterministic=True).hex() == GOLDEN
    message = pb.HeldBundle.FromString(bytes.fromhex(GOLDEN))
    assert HeldBundle.from_proto(message) == HELD


@pytest.mark.parametrize("number", [0, 99])
def test_a_stage_that_is_not_known_here_is_said_to_be_so(number: int) -> None:
    message = HELD.to_proto()
    message.stage = number  # type: ignore[assignment]
    assert HeldBundle.from_proto(message).stage == "unknown"


def test_what_makes_no_sense_is_refused() -> None:
    message = HELD.to_proto()
    message.sources.extend(["x"] * 1024)
    with pytest.raises(BundleError, match="1026 sources; too many"):
        HeldBundle.from_proto(message)
    with pytest.raises(BundleError, match="a digest of 0 bytes"):
        HeldBundle.from_proto(pb.HeldBundle())
    with pytest.raises(BundleError, match="1025 bundles; too many"):
        read_list(pb.ListBundlesResponse(bundles=[HELD.to_proto()] * 1025))
