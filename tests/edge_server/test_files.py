"""Files of bundles: spans of them, over the wire, and only those that a manifest names."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.engine import Engine
from edge_server.files import CHUNK_BYTES, read_span
from offramp.bundle import MANIFEST, Bundle, Manifest, open_bundle
from offramp.catalogue import Catalogue, FileRequest
from offramp.errors import InputError
from offramp.network import Network
from protos.offramp.v1 import inference_pb2 as pb

Play = Callable[..., None]
DATA = bytes(range(256)) * 300


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Bundle:
    """A bundle that seems to hold one file of 76,800 bytes; another one lies beside it."""
    folder = tmp_path_factory.mktemp("stored")
    (folder / "data.bin").write_bytes(DATA)
    (folder / "secret.bin").write_bytes(b"secret")
    (folder / MANIFEST).write_bytes(b"{}")
    entry = next(iter(bundle.manifest.files.values()))
    fields = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
    return Bundle(Manifest(**{**fields, "files": {"data.bin": entry}}), "ab" * 32, folder)


@given(st.integers(0, len(DATA)), st.integers(0, len(DATA) + 10))
def test_a_span_is_those_bytes(stored: Bundle, offset: int, most: int) -> None:
    request = FileRequest(stored.digest, "data.bin", offset, most)
    chunks = list(read_span(stored, request))
    assert b"".join(chunks) == DATA[offset : offset + most if most else None]
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)


def test_without_a_path_it_is_the_manifest(stored: Bundle) -> None:
    assert list(read_span(stored, FileRequest(stored.digest))) == [b"{}"]


@pytest.mark.parametrize("path", ["secret.bin", "../x", "/etc/passwd", "data.bin/", MANIFEST])
def test_what_the_manifest_does_not_name_is_not_sent(stored: Bundle, path: str) -> None:
    with pytest.raises(InputError, match="holds no file"):
        next(read_span(stored, FileRequest(stored.digest, path)))


def test_an_offset_beyond_the_end_is_refused(stored: Bundle) -> None:
    with pytest.raises(InputError, match="has 76800 bytes; there is nothing at offset 76801"):
        next(read_span(stored, FileRequest(stored.digest, "data.bin", 76_801)))


async def fetch(served: Any, request: FileRequest) -> bytes:
    chunks = served.stub.ReadFile(request.to_proto(), timeout=10)
    return b"".join([chunk.data async for chunk in chunks])


def test_every_file_of_every_bundle_over_the_wire(
    play: Play, engine: Engine, network: Network, other_network: Network
) -> None:
    async def story(served: Any) -> None:
        described = Catalogue.from_proto(await served.stub.Describe(pb.DescribeRequest()))
        for offer, bundle in zip(
            described.offers, (network.bundle, other_network.bundle), strict=True
        ):
            manifest = await fetch(served, FileRequest(offer.digest))
            assert hashlib.sha256(manifest).hexdigest() == offer.digest
            assert len(manifest) == offer.manifest_bytes
            for name, entry in bundle.manifest.files.items():
                data = await fetch(served, FileRequest(offer.digest, name))
                assert hashlib.sha256(data).hexdigest() == entry.sha256
                rest = await fetch(served, FileRequest(offer.digest, name, 10, 20))
                assert rest == data[10:30]

    play(engine, story)


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        (FileRequest("00" * 32).to_proto(), "NOT_FOUND", "not loaded here"),
        (pb.ReadFileRequest(bundle_digest=b"short"), "INVALID_ARGUMENT", "5 bytes"),
        (FileRequest("{digest}", "../x"), "INVALID_ARGUMENT", "holds no file"),
        (FileRequest("{digest}", "", 1 << 60), "INVALID_ARGUMENT", "nothing at offset"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    play: Play, engine: Engine, bundle: Bundle, message: Any, code: str, said: str
) -> None:
    if isinstance(message, FileRequest):
        message = FileRequest(bundle.digest, message.path, message.offset_bytes).to_proto()

    async def story(served: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in served.stub.ReadFile(message, timeout=10):
                pass
        assert caught.value.code().name == code
        assert said in str(caught.value.details())

    play(engine, story)


def test_a_file_that_is_gone_is_told_without_its_path(
    play: Play, bundle_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with zipfile.ZipFile(bundle_file) as archive:
        archive.extractall(tmp_path)
    bundle = open_bundle(tmp_path)
    wanted = FileRequest(bundle.digest, "s1/model.onnx").to_proto()

    async def story(served: Any) -> None:
        bundle.path("s1/model.onnx").unlink()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in served.stub.ReadFile(wanted, timeout=10):
                pass
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert str(tmp_path) not in str(caught.value.details())

    play(Engine([Network(bundle)], 1 << 20), story)
    assert "s1/model.onnx" in caplog.text
