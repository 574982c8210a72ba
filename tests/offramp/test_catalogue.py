"""The catalogue: what a device takes of what a server offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.catalogue import MAX_OFFERS, Catalogue, FileRequest, Offer
from offramp.errors import BundleError, InputError, UnknownBundleError
from protos.offramp.v1 import inference_pb2 as pb

A, B, C = ("a1" * 32, "b2" * 32, "c3" * 32)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
U32 = st.integers(0, 2**32 - 1)
NAMES = st.text(st.characters(categories="LNPS"), min_size=1, max_size=200)
OFFERS = st.builds(
    Offer, DIGESTS, NAMES, U32,
    st.sampled_from(["", "onnxruntime"]), U32, st.booleans(),
)  # fmt: skip


@given(st.lists(OFFERS, max_size=4))
def test_what_is_sent_is_read(offers: list[Offer]) -> None:
    catalogue = Catalogue(tuple(offers))
    sent = pb.Catalogue.FromString(catalogue.to_proto().SerializeToString())
    assert Catalogue.from_proto(sent) == catalogue
    assert Catalogue.from_proto(pb.DescribeResponse(bundles=sent.bundles)) == catalogue


@given(st.builds(FileRequest, DIGESTS, st.just("a/b.onnx"), U32, U32))
def test_a_file_request_is_read_as_it_is_sent(request: FileRequest) -> None:
    sent = pb.ReadFileRequest.FromString(request.to_proto().SerializeToString())
    assert FileRequest.from_proto(sent) == request


def test_what_a_stranger_sends_is_checked() -> None:
    with pytest.raises(InputError, match="5 bytes; send the manifest's SHA-256"):
        FileRequest.from_proto(pb.ReadFileRequest(bundle_digest=b"short"))
    with pytest.raises(BundleError, match="a digest of 5 bytes"):
        Offer.from_proto(pb.BundleDescription(digest=b"short", name="x"))
    for name in ("", " ", "x" * 201, "net\x1b[2J", "a\nb", "a\u202eb"):
        with pytest.raises(BundleError, match="is no name: it takes 1 to 200 printable") as caught:
            Offer.from_proto(pb.BundleDescription(digest=bytes(32), name=name))
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200
    offers = [Offer(A, "x").to_proto()] * (MAX_OFFERS + 1)
    with pytest.raises(BundleError, match="too many"):
        Catalogue.from_proto(pb.Catalogue(bundles=offers))


def test_the_only_bundle_is_taken_and_of_several_the_one_that_is_named() -> None:
    one = Catalogue((Offer(A, "cats", superseded=True), Offer(B, "cats")))
    assert one.choose().digest == one.choose("cats").digest == B
    two = Catalogue((Offer(A, "cats"), Offer(B, "dogs")))
    assert two.choose("dogs").digest == B
    with pytest.raises(
        UnknownBundleError, match=r"several models; name one of these with --model: 'cats', 'dogs'"
    ):
        two.choose()
    with pytest.raises(UnknownBundleError, match="no model 'cows'; name one of these"):
        two.choose("cows")
    with pytest.raises(UnknownBundleError, match="offers none"):
        Catalogue().choose()
    twins = Catalogue((Offer(A, "cats"), Offer(B, "cats")))
    for name in (None, "cats"):
        with pytest.raises(UnknownBundleError, match=r"several models of one name .'cats'.*--name"):
            twins.choose(name)


def test_a_bundle_whose_name_has_another_digest_has_a_successor() -> None:
    now = Catalogue((Offer(A, "cats", superseded=True), Offer(B, "cats"), Offer(C, "dogs")))
    assert now.successor(A, "cats") == Offer(B, "cats")
    assert now.successor(B, "cats") is None
    assert now.successor("00" * 32, "cats") == Offer(B, "cats")
    assert now.successor(A, "cows") is None
    assert Catalogue((Offer(A, "cats", superseded=True),)).successor(A, "cats") is None
