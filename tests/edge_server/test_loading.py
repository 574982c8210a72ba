"""Loading: what a bundle counts with, and what is measured of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_server.bundles import loading
from edge_server.bundles.loading import Loader
from edge_server.passage import Place
from edge_server.scheduling.step_costs import Step, StepCosts
from offramp.bundle import Bundle
from offramp.errors import ConfigError
from offramp.network import Network


def test_a_bundle_counts_with_the_programs_and_weights_that_are_loaded(
    bundle: Bundle, bundle_file: Path
) -> None:
    book = Loader().read(bundle_file)
    assert book.digest == bundle.digest
    assert book.size_bytes == sum(
        entry.bytes for name, entry in bundle.manifest.files.items() if name.endswith("/model.onnx")
    )
    assert book.offer.backend == "onnxruntime"


def test_a_backend_for_heads_is_refused(bundle: Bundle, bundle_file: Path) -> None:
    with pytest.raises(ConfigError, match="'onnxruntime_int8' is for heads"):
        Loader("onnxruntime_int8").read(bundle_file)


def test_a_bundle_that_comes_back_is_not_measured_again(
    bundle: Bundle, bundle_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def measure(network: Network, costs: StepCosts, clock: object) -> None:
        digest = network.bundle.digest
        measured.append(digest)
        costs.observe(Step(Place(digest, 0, narrow=False), 1, 0.1, None, 0))

    monkeypatch.setattr(loading, "measure_steps", measure)
    costs = StepCosts()
    for _ in range(2):
        loader = Loader(costs=costs)
        loader.load(loader.read(bundle_file))
    assert measured == [bundle.digest]
