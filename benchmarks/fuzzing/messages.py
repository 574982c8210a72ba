"""Targets: protobuf messages, and what both ends do with what these hold."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message

from benchmarks.fuzzing.target import Attack, Target
from benchmarks.harness import BUNDLE
from edge_server.engine import Engine
from edge_server.history import History
from offramp import administration, catalogue, codecs, messages
from offramp.boundary_codec import decode_boundary
from offramp.bundle import open_bundle
from offramp.errors import InputError, OfframpError
from offramp.messages import Answer, Request
from offramp.network import Network
from protos.offramp.v1 import admin_pb2 as admin_pb
from protos.offramp.v1 import inference_pb2 as pb

__all__ = ["kinds", "targets"]

_VALUES = ("offramp.messages", "offramp.catalogue", "offramp.administration")
_REFUSALS = (OfframpError, DecodeError)
_LIMIT_BYTES = 4 << 20
_DIGEST = bytes(range(32))

Read = Callable[[bytes], object]


def targets() -> tuple[Target, ...]:
    """Return the targets of what comes in messages."""
    return (
        Target("messages", _VALUES, _messages, weight=150),
        Target("requests", ("edge_server.engine", "offramp.boundary_codec"), _requests, weight=100),
        Target("answers", ("device.cargo",), _answers, weight=120),
    )


@cache
def kinds() -> tuple[tuple[type[Message], Callable[[Any], object]], ...]:
    """Return every message that is read into a value, with what reads it."""
    return tuple(sorted(_readers(), key=lambda kind: kind[0].__name__))


def _readers() -> Iterator[tuple[type[Message], Callable[[Any], object]]]:
    for module in (messages, catalogue, administration):
        for name in module.__all__:
            one = getattr(module, name)
            read = getattr(one, "from_proto", one)
            hint = typing.get_type_hints(read).get("message") if callable(read) else None
            each = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
            yield from ((message, read) for message in each if _is_message(message))


def _is_message(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Message)


def _messages(folder: Path) -> Attack:
    """Read any message into its value."""

    def read_any(data: bytes) -> None:
        if not data:
            raise InputError("the input says no message")
        message, read = kinds()[data[0] % len(kinds())]
        read(message.FromString(data[1:]))

    load = pb.ServerLoad(queued=3, running=1, queue_us=5, cpu_permille=7, price_us=9)
    spans = pb.Timeline(received_us=1 << 50, queue_us=2, segment_us=[3, 4], received_bytes=5)
    offer = pb.BundleDescription(digest=_DIGEST, name="digits", segments=8, backend="onnxruntime")
    held = admin_pb.HeldBundle(description=offer, stage="STAGE_OPEN", idle_us=3, sources=["a"])
    whole: dict[type[Message], Message] = {
        pb.InferRequest: pb.InferRequest(
            id=9, bundle_digest=_DIGEST, cut=2, frames=[b"ab", b"cd"], timeout_us=7, plan_id="p",
            reference=3,
        ),
        pb.InferResponse: pb.InferResponse(
            id=9, outputs=[b"ab"], timeline=spans, load=load, plan_id="p", kept=True,
            status=pb.Status(code=8, message="full", retry_after_us=5),
        ),
        pb.Timeline: spans,
        pb.ServerLoad: load,
        pb.ProbeRequest: pb.ProbeRequest(id=1, padding=bytes(20)),
        pb.ProbeResponse: pb.ProbeResponse(id=1, timeline=spans, load=load),
        pb.BundleDescription: offer,
        admin_pb.HeldBundle: held,
        admin_pb.ListBundlesResponse: admin_pb.ListBundlesResponse(bundles=[held, held]),
        pb.Draining: pb.Draining(accepts_us=5, answers_us=9),
        pb.Catalogue: pb.Catalogue(bundles=[offer, offer]),
        pb.DescribeResponse: pb.DescribeResponse(bundles=[offer], version="0.1.0"),
        pb.ReadFileRequest: pb.ReadFileRequest(bundle_digest=_DIGEST, path="a/b", offset_bytes=3),
    }  # fmt: skip
    seeds = [
        bytes((at,)) + whole.get(message, message()).SerializeToString()
        for at, (message, _) in enumerate(kinds())
    ]
    return Attack(tuple(seeds), read_any, _REFUSALS)


def _requests(folder: Path) -> Attack:
    """Take a stream's request as a server does, up to the tensors that the engine gets."""
    network = Network(open_bundle(BUNDLE), "onnxruntime")
    engine, history = Engine([network], _LIMIT_BYTES), History(1 << 20)

    def read(data: bytes) -> None:
        request = Request.from_proto(pb.InferRequest.FromString(data))
        engine.check(request)
        engine.place_of(request)
        engine.begin(request, history)

    image = network.bundle.examples[0][:1]
    seeds = []
    for cut in (3, 4, 5, 7):
        tensors = network.run(0, cut, [image])
        for level in network.codecs.levels(cut)[::3]:
            frames = network.encode(cut, level, tensors).frames
            request = Request(len(seeds), network.bundle.digest, cut, frames, plan_id="p")
            seeds.append(replace(request, timeout_s=1.0).to_proto().SerializeToString())
    return Attack(tuple(seeds), read, _REFUSALS)


def _answers(folder: Path) -> Attack:
    """Take an answer as a device does, up to the tensors that it shows."""
    boundary = open_bundle(BUNDLE).manifest.boundaries[-1]

    def read(data: bytes) -> None:
        answer = Answer.from_proto(pb.InferResponse.FromString(data))
        decode_boundary(answer.outputs, boundary.tensors, limit_bytes=boundary.nbytes)

    scores = np.arange(boundary.tensors[0].elements, dtype=boundary.tensors[0].dtype)
    sample = scores.reshape(boundary.tensors[0].shape)
    seeds = [
        Answer(at, (codecs.encode(codecs.get(name), sample),)).to_proto().SerializeToString()
        for at, name in enumerate(("raw", "lossless", "fp16"))
    ]
    return Attack(tuple(seeds), read, _REFUSALS)
