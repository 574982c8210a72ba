"""Deployments: a bundle that is set up to run on this device, and one that takes its place."""

from __future__ import annotations

import time
from dataclasses import dataclass

from device.head import Head
from device.settings import AgentSettings
from offramp.bundle import Bundle, Manifest
from offramp.calibration import load_calibration
from offramp.errors import BundleError
from offramp.network import Network
from partitioner.candidates import build_candidates
from partitioner.measure import measure_profile
from partitioner.planner import Planner
from partitioner.profile import Profile

__all__ = ["Deployment", "deploy", "same_shape", "succeed"]

_ROUNDS = 5  # beside samples that stream; a stretch sees to what few rounds miss


@dataclass(frozen=True)
class Deployment:
    """The head that runs a bundle and the planner that plans for it."""

    head: Head
    planner: Planner

    @property
    def bundle(self) -> Bundle:
        """The bundle that is deployed."""
        return self.planner.bundle


def deploy(bundle: Bundle, settings: AgentSettings, board: Profile, server: Profile) -> Deployment:
    """Load a bundle for a board and a server of these profiles."""
    candidates = build_candidates(bundle, load_calibration(bundle))
    planner = Planner(bundle, candidates, board, server)
    return Deployment(Head(Network(bundle, settings.backend, settings.threads), board), planner)


def succeed(old: Deployment, bundle: Bundle, settings: AgentSettings) -> Deployment:
    """Load a bundle that is to take the place of another one while samples stream.

    Profiles are taken over if the two are of one shape, else measured, with pauses in which
    samples have the processor. Raises `BundleError` if the bundle takes other inputs: the source
    would go on to deliver the old ones.
    """
    before, after = old.bundle.manifest, bundle.manifest
    if [(t.dtype, t.shape) for t in before.boundaries[0].tensors] != [
        (t.dtype, t.shape) for t in after.boundaries[0].tensors
    ]:
        raise BundleError(
            f"bundle {bundle.digest[:12]} takes other inputs than the one that runs; start the "
            "device again with a source of such inputs"
        )
    if same_shape(before, after):
        renamed = {"digest": bundle.digest}
        board = old.planner.device.model_copy(update=renamed)
        return deploy(bundle, settings, board, old.planner.server.model_copy(update=renamed))
    here = measure_profile(
        bundle,
        settings.backend,
        threads=settings.threads,
        rounds=_ROUNDS,
        progress=_Pauses(),
    )
    return deploy(bundle, settings, here.slowed(settings.slowdown), here)


def same_shape(one: Manifest, other: Manifest) -> bool:
    """Tell whether two bundles differ in weights only, so that all of their parts take as long."""
    return _shape(one) == _shape(other)


def _shape(manifest: Manifest) -> object:
    return (
        [([(t.dtype, t.shape) for t in b.tensors], sorted(b.levels)) for b in manifest.boundaries],
        [(segment.macs, segment.skipped) for segment in manifest.segments],
        [(spec.boundary, spec.macs, spec.skipped) for spec in manifest.exits],
    )


class _Pauses:
    """After each round of measuring, waits for as long as the round took."""

    def __init__(self) -> None:
        self._since_s = time.monotonic()

    def __call__(self, done: int, of: int) -> None:
        time.sleep(time.monotonic() - self._since_s)
        self._since_s = time.monotonic()
