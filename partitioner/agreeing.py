"""Agreeing: which backends answer what they should, and so are worth measuring."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from offramp import backends
from offramp.agreement import largest_difference
from offramp.bundle import Bundle
from offramp.errors import OfframpError
from offramp.network import Network
from offramp.tensors import Array

__all__ = ["AGREEMENT", "agreeing"]

AGREEMENT = 1e-3
"""How far an exact backend's outputs may be from what they should be, as a share of the largest."""


def agreeing(
    bundle: Bundle,
    runners: Iterable[tuple[str, int]],
    report: Callable[[str], None],
    load: Callable[[Bundle, str, int], Network] = Network,
) -> Iterator[tuple[tuple[str, int], Network]]:
    """Yield the runners, loaded, that run and, where they are meant to be exact, answer rightly.

    Right is what the first backend answers that is exact and ready at once, also if it is not
    among ``runners``; where there is none, what the first exact runner does. ``report`` is told
    of those that are left out. Raises `BundleError` if the bundle's examples are wrong.
    """
    inputs = bundle.examples
    expected = _expected(bundle, inputs)
    for name, threads in runners:
        try:
            network = load(bundle, name, threads)
            outputs = _answers(network, inputs)
        except OfframpError as error:
            report(f"leaving out {name}: {error}")
            continue
        except Exception as error:  # each backend raises its own kinds
            report(f"leaving out {name}: it fails ({' '.join(str(error).split())[:300]})")
            continue
        if backends.get(name).exact:
            expected = expected or outputs
            share = largest_difference(outputs, expected)
            if share > AGREEMENT:
                report(f"leaving out {name}: its answers differ by {share:.1g} of the largest")
                continue
        yield (name, threads), network


def _expected(bundle: Bundle, inputs: Sequence[Array]) -> list[Array] | None:
    for backend in bundle.backends:
        if backend.exact and backend.ready_at_once:
            with contextlib.suppress(Exception):  # it is reported where it is to be measured
                return _answers(Network(bundle, backend.name), inputs)
    return None


def _answers(network: Network, inputs: Sequence[Array]) -> list[Array]:
    return network.run(0, network.depth, inputs)
