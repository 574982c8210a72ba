"""The engine: checks a request, decodes its frames, runs the tail and encodes the outputs.

Samples go from step to step and may take each one together with others: those that wait at the same
place, wherever they began and whichever device sent them. A bottleneck's decoder is a step too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from edge_server.batching import BatchSizes
from edge_server.fusing import TailFusing
from edge_server.history import History
from edge_server.passage import Passage, Place, advance
from offramp import codecs
from offramp.catalogue import Catalogue, Offer
from offramp.errors import BundleError, InputError, UnknownBundleError
from offramp.messages import Request
from offramp.network import Network
from offramp.tensors import Array, TensorSpec

__all__ = ["Engine", "Outcome", "try_out"]

_RAW = codecs.get("raw")  # outputs are a few scores: compressing them would not pay


@dataclass(frozen=True)
class Outcome:
    """The outputs of a request as frames, and how long each step took.

    Segments that are fused are one step; one that several samples took together counts whole.
    With ``kept`` a later sample may refer to this one.
    """

    outputs: tuple[bytes, ...]
    decode_s: float
    segment_s: tuple[float, ...]
    encode_s: float
    kept: bool = False


class Engine:
    """Runs any cut of the networks it holds; safe to use from several threads at once.

    ``limit_bytes`` is the most that one decoded tensor may take. Building an engine runs each
    network once on zeros: a bundle that cannot run is refused now, and the first request does
    not pay for what a backend puts off. ``stepped`` is told of each step: from where, to which
    boundary, of how many samples, and how long it took; it must neither wait nor raise.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        limit_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.networks: Mapping[str, Network] = {}
        self.superseded: frozenset[str] = frozenset()
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._fusing = TailFusing()
        self.sizes = BatchSizes()
        self.stepped: Callable[[Place, int, int, float], None] = lambda *step: None
        for network in networks:
            try_out(network)
        self.replace(networks)

    def replace(self, networks: Sequence[Network]) -> None:
        """Hold these networks, each tried out, from now on.

        Those whose place they take are superseded: they run on for the devices that still have
        them, until the next replacement.
        """
        current = {network.bundle.digest: network for network in networks}
        before = {
            digest: network
            for digest, network in self.networks.items()
            if digest not in current and digest not in self.superseded
        }
        self.superseded = frozenset(before)
        self.networks = {**before, **current}  # in one step: workers read it all the time
        self.sizes = BatchSizes()

    def catalogue(self) -> Catalogue:
        """Return what is held, in the form that devices read."""
        return Catalogue(
            tuple(
                Offer(
                    digest,
                    network.bundle.manifest.name,
                    network.depth,
                    network.backend,
                    manifest_bytes=network.bundle.manifest_bytes,
                    superseded=digest in self.superseded,
                )
                for digest, network in self.networks.items()
            )
        )

    def network(self, digest: str) -> Network:
        """Return a network that is held; raise `UnknownBundleError` if none is of that digest."""
        network = self.networks.get(digest)
        if network is None:
            raise UnknownBundleError(
                f"bundle {digest[:12]} is not loaded here; ask Describe what is, or start the "
                "server with it"
            )
        return network

    def check(self, request: Request) -> None:
        """Raise unless the request names a bundle held here, a cut of it and its tensors."""
        network = self.network(request.digest)
        if not 0 <= request.cut < network.depth:
            raise InputError(
                f"cut {request.cut} is out of range; bundle {request.digest[:12]} runs here from "
                f"cuts 0 to {network.depth - 1}"
            )
        tensors = _boundary(network, request.cut)
        if len(request.frames) != len(tensors):
            raise InputError(
                f"{len(request.frames)} frames for cut {request.cut}; its boundary has "
                f"{len(tensors)} tensors, send one frame for each"
            )

    def place_of(self, request: Request) -> Place:
        """Return what comes first for a request that `check` let pass, once it is decoded."""
        narrow = self.network(request.digest).codecs.is_narrow(request.cut, request.frames)
        return Place(request.digest, request.cut, narrow)

    def begin(self, request: Request, history: History | None = None) -> Passage:
        """Return the decoded tensors of a request that `check` let pass.

        ``history`` is that of its stream; without one, nothing is kept and no frame may hold a
        change. Raises `FrameError`.
        """
        began_s = self._clock()
        network, cut = self.network(request.digest), request.cut
        found = network.codecs.decode(
            cut,
            request.frames,
            limit_bytes=self._limit_bytes,
            references=history.find(request) if history else (),
        )
        kept = history is not None and history.keep(request, found.references)
        self._fusing.observe(network, cut)
        tensors = [array[None] for array in found.tensors]
        return Passage(network, cut, tensors, found.narrow, self._clock() - began_s, kept)

    def step(self, passages: Sequence[Passage]) -> None:
        """Take samples that are at one place one step on, as one batch.

        Raises `EngineError` for what the engine cannot compute; then none of them has moved.
        """
        place, began_s = passages[0].place, self._clock()
        advance(passages)
        took_s = self._clock() - began_s
        self.sizes.observe(place, len(passages), took_s)
        self.stepped(place, passages[0].at, len(passages), took_s)
        for passage in passages:
            if place.narrow:
                passage.decode_s += took_s
            else:
                passage.segment_s.append(took_s)

    def finish(self, passage: Passage) -> Outcome:
        """Return the answer of a sample that has come to the end."""
        began_s, network = self._clock(), passage.network
        outputs = zip(passage.tensors, _boundary(network, network.depth), strict=True)
        encoded = tuple(codecs.encode(_RAW, array.reshape(spec.shape)) for array, spec in outputs)
        spent_s = passage.decode_s, tuple(passage.segment_s), self._clock() - began_s
        return Outcome(encoded, *spent_s, passage.kept)


def _boundary(network: Network, at: int) -> tuple[TensorSpec, ...]:
    return network.bundle.manifest.boundaries[at].tensors


def try_out(network: Network) -> None:
    """Run a network once on zeros; raise `BundleError` unless it does what its manifest says."""
    boundaries = network.bundle.manifest.boundaries
    _try(network, partial(network.run, 0, network.depth), boundaries[0].tensors, network.depth)
    for cut, boundary in enumerate(boundaries):
        for level in boundary.levels:
            network.prepare(cut, level, "decoder")
    for cut in network.bundle.manifest.bottlenecks:
        _try(network, partial(network.widen, cut), boundaries[cut].narrow, cut)


def _try(
    network: Network,
    run: Callable[[list[Array]], list[Array]],
    given: Sequence[TensorSpec],
    boundary: int,
) -> None:
    """Run a part on zeros; raise `BundleError` unless it gives the tensors of a boundary."""
    name = network.bundle.manifest.name
    try:
        outputs = run([np.zeros((1, *spec.shape), spec.dtype) for spec in given])
    except Exception as error:  # each backend raises its own kinds
        reason = " ".join(str(error).split())
        raise BundleError(f"bundle {name!r} does not run ({reason}); compile it again") from None
    found = [(output.dtype.name, output.shape) for output in outputs]
    stated = [(spec.dtype, (1, *spec.shape)) for spec in _boundary(network, boundary)]
    if found != stated:
        raise BundleError(
            f"bundle {name!r} gives {found} where its manifest says {stated}; compile it again"
        )
