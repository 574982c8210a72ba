"""Loading: from a bundle's file to a network that has been tried out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from edge_server.bundles.books import Book
from edge_server.bundles.measuring import measure_steps
from edge_server.passage import Place
from edge_server.scheduling.step_costs import StepCosts
from offramp.backends import Backend
from offramp.bundle import Bundle, open_bundle
from offramp.catalogue import Offer
from offramp.errors import BundleError, ConfigError
from offramp.exits.later import open_exits
from offramp.network import Network, choose_backend
from offramp.tensors import Array, TensorSpec

__all__ = ["Loader", "make_book", "try_out"]


@dataclass(frozen=True)
class Loader:
    """How bundles are loaded here: on ``backend``, or the first that can, on so many threads.

    ``costs`` are told what the steps of those that are loaded take.
    """

    backend: str | None = None
    threads: int = 1
    costs: StepCosts = field(default_factory=StepCosts)

    def read(self, path: Path) -> Book:
        """Open and check a bundle; raise `ConfigError` if its backend is none for servers."""
        bundle = open_bundle(path)
        engine = choose_backend(bundle, self.backend)
        if not engine.exact:
            raise ConfigError(
                f"backend {engine.name!r} is for heads, on devices; serve bundle "
                f"{bundle.digest[:12]} on an exact one"
            )
        return make_book(bundle, engine)

    def load(self, book: Book) -> Network:
        """Load a bundle and try it out; raise `BundleError` unless it does what it says."""
        network = Network(book.bundle, book.offer.backend, self.threads)
        try_out(network)
        if not self.costs.knows(Place(book.digest, 0, narrow=False)):  # else it was here before
            measure_steps(network, self.costs, time.perf_counter)
        return network


def make_book(bundle: Bundle, engine: Backend) -> Book:
    """Return a bundle with what devices are told of it and the memory that it takes.

    That is the size of the programs and weights that a server loads. It is known before they are
    loaded and the same each time, as the growth of a process is not.
    """
    manifest = bundle.manifest
    programs = (*manifest.segments, *manifest.exits, *manifest.decoders)
    names = {name for program in programs for name in engine.files(program.folder)}
    size_bytes = sum(manifest.files[name].bytes for name in names & manifest.files.keys())
    offer = Offer(
        bundle.digest,
        manifest.name,
        len(manifest.segments),
        engine.name,
        manifest_bytes=bundle.manifest_bytes,
    )
    return Book(bundle, offer, size_bytes)


def try_out(network: Network) -> None:
    """Run a network once on zeros; raise `BundleError` unless it does what its manifest says."""
    boundaries = network.bundle.manifest.boundaries
    _try(network, partial(network.run, 0, network.depth), boundaries[0].tensors, network.depth)
    for cut, boundary in enumerate(boundaries):
        for level in boundary.levels:
            network.prepare(cut, level, "decoder")
    for cut in network.bundle.manifest.bottlenecks:
        _try(network, partial(network.widen, cut), boundaries[cut].narrow, cut)
    for number in open_exits(network.bundle.manifest, range(network.depth)):
        at = network.bundle.manifest.exits[number].boundary
        _try(network, partial(_logits, network, number), boundaries[at].tensors, network.depth)


def _logits(network: Network, number: int, given: list[Array]) -> list[Array]:
    """Return what an exit says of a batch of 1, after zeros at those that lead to it."""
    manifest, codes = network.bundle.manifest, dict[str, Array]()
    for before in manifest.leading_to(number):
        tensors = manifest.boundaries[manifest.exits[before].boundary].tensors
        network.exit_logits(before, _zeros(tensors), codes)
    return [network.exit_logits(number, given, codes)]


def _zeros(specs: Sequence[TensorSpec]) -> list[Array]:
    return [np.zeros((1, *spec.shape), spec.dtype) for spec in specs]


def _try(
    network: Network,
    run: Callable[[list[Array]], list[Array]],
    given: Sequence[TensorSpec],
    boundary: int,
) -> None:
    """Run a part on zeros; raise `BundleError` unless it gives the tensors of a boundary."""
    name = network.bundle.manifest.name
    try:
        outputs = run(_zeros(given))
    except Exception as error:  # each backend raises its own kinds
        reason = " ".join(str(error).split())
        raise BundleError(f"bundle {name!r} does not run ({reason}); compile it again") from None
    found = [(output.dtype.name, output.shape) for output in outputs]
    specs = network.bundle.manifest.boundaries[boundary].tensors
    stated = [(spec.dtype, (1, *spec.shape)) for spec in specs]
    if found != stated:
        raise BundleError(
            f"bundle {name!r} gives {found} where its manifest says {stated}; compile it again"
        )
