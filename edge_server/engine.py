"""The engine: checks a request, decodes its frames, runs the tail and encodes the outputs.

Samples go from step to step and may take each one together with others: those that wait at the same
place, wherever they began and whichever device sent them. A bottleneck's decoder is a step too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_server.bundles.holdings import Holdings
from edge_server.bundles.loading import make_book, try_out
from edge_server.fusing import TailFusing
from edge_server.history import History
from edge_server.passage import Passage, Place, advance
from edge_server.scheduling.step_costs import Step
from offramp import backends, codecs
from offramp.catalogue import Catalogue
from offramp.errors import InputError
from offramp.exits.later import exits_to_run
from offramp.messages import Request
from offramp.network import Network
from offramp.tensors import TensorSpec

__all__ = ["Engine", "Outcome"]

_RAW = codecs.get("raw")  # outputs are a few scores: compressing them would not pay


@dataclass(frozen=True)
class Outcome:
    """The outputs of a request as frames, and how long each step took.

    Segments that are fused are one step; one that several samples took together counts whole.
    With ``kept`` a later sample may refer to this one. ``exit`` is the one behind the cut that
    answered; None: the end.
    """

    outputs: tuple[bytes, ...]
    decode_s: float
    segment_s: tuple[float, ...]
    encode_s: float
    kept: bool = False
    exit: int | None = None


class Engine:
    """Runs any cut of the networks it holds; safe to use from several threads at once.

    It runs what ``holdings`` have in memory, and besides ``networks``, which are tried out now.
    ``limit_bytes`` is the most that one decoded tensor may take. ``stepped`` is told of each step:
    from where, to which boundary, of how many samples, and how long it took; it must neither wait
    nor raise.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        limit_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        holdings: Holdings | None = None,
    ) -> None:
        self.holdings = holdings or Holdings()
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._fusing = TailFusing()
        self.costs = self.holdings.costs
        self.stepped: Callable[[Place, int, int, float], None] = lambda *step: None
        if networks:
            self._hold(networks)

    @property
    def networks(self) -> Mapping[str, Network]:
        """The networks in memory, by digest."""
        return self.holdings.networks

    def network(self, digest: str) -> Network:
        """Return a network in memory; raise `UnknownBundleError` if none is of that digest."""
        return self.holdings.network(digest)

    def catalogue(self) -> Catalogue:
        """Return what is held, in the form that devices read."""
        return self.holdings.catalogue()

    def _hold(self, networks: Sequence[Network]) -> None:
        held = {network.bundle.digest: network for network in networks}
        for network in networks:
            try_out(network)
        books = [make_book(one.bundle, backends.get(one.backend)) for one in networks]
        self.holdings.fill(books, lambda book: held[book.digest])

    def check(self, request: Request) -> None:
        """Raise unless the request names a bundle held here, a cut of it and its tensors."""
        network = self.holdings.lend(request.digest)
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
        later = network.bundle.manifest.later_at(cut, found.level)
        running = exits_to_run(network.bundle.manifest, later)
        spent_s = self._clock() - began_s
        return Passage(network, cut, tensors, found.narrow, spent_s, kept, later, running)

    def held_bytes(self, place: Place) -> int:
        """Return the most that a sample's tensors take on its way from a place on."""
        boundaries = self.network(place.digest).bundle.manifest.boundaries[place.at :]
        return max(boundary.nbytes for boundary in boundaries)

    def step(self, passages: Sequence[Passage]) -> float:
        """Take samples that are at one place one step on, as one batch; those that are sure leave.

        Returns how long it took.

        Raises `EngineError` for what the engine cannot compute; then none of them has moved.
        """
        place, began_s = passages[0].place, self._clock()
        advance(passages)
        took_s = self._clock() - began_s
        going = sum(not passage.ended for passage in passages)
        self.costs.observe(Step(place, len(passages), took_s, passages[0].place, going))
        self.stepped(place, passages[0].at, len(passages), took_s)
        for passage in passages:
            if place.narrow:
                passage.decode_s += took_s
            else:
                passage.segment_s.append(took_s)
        return took_s

    def finish(self, passage: Passage) -> Outcome:
        """Return the answer of a sample that has come to the end, or has left before."""
        began_s, network = self._clock(), passage.network
        outputs = zip(passage.tensors, _boundary(network, network.depth), strict=True)
        encoded = tuple(codecs.encode(_RAW, array.reshape(spec.shape)) for array, spec in outputs)
        spent_s = passage.decode_s, tuple(passage.segment_s), self._clock() - began_s
        return Outcome(encoded, *spent_s, passage.kept, passage.exit)


def _boundary(network: Network, at: int) -> tuple[TensorSpec, ...]:
    return network.bundle.manifest.boundaries[at].tensors
