"""Deployments: a bundle that is set up to run on this device, and one that takes its place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from device.adaptation import Adaptation
from device.head import Head
from device.settings import AgentSettings
from device.vigil import Vigil
from offramp.bundle import Bundle, Manifest
from offramp.calibration import Calibration, load_calibration, score_exits
from offramp.errors import BundleError, ConfigError, PlanError
from offramp.exits.fitted import load_policy
from offramp.guarantee.adaptive import AdaptiveThresholds
from offramp.network import Network
from offramp.tensors import Array
from partitioner.candidates import build_candidates
from partitioner.measure import default_backend, measure_profile
from partitioner.min_cut import sent_from
from partitioner.planner import Planner
from partitioner.profile import Profile
from partitioner.remembered import recall, remember

__all__ = ["Deployment", "deploy", "profile_here", "same_shape", "succeed"]

Report = Callable[[str], None]
Stopped = Callable[[], bool]

_log = logging.getLogger(__name__)
_AS_THEY_ARE = AgentSettings()


@dataclass(frozen=True)
class Deployment:
    """The head that runs a bundle and the planner that plans for it."""

    head: Head
    planner: Planner

    @property
    def bundle(self) -> Bundle:
        """The bundle that is deployed."""
        return self.planner.bundle

    @property
    def promise(self) -> dict[str, Any] | None:
        """What the bundle promises and whether that is void here; None if it promises nothing."""
        allowed = self.bundle.manifest.allowed
        if allowed is None or allowed.promised is None:
            return None
        return {**allowed.promised.model_dump(), "void": self.head.adapts}


def deploy(
    bundle: Bundle, board: Profile, server: Profile, settings: AgentSettings = _AS_THEY_ARE
) -> Deployment:
    """Load a bundle for a board and a server of these profiles.

    With adaptive thresholds a bundle's promise is void: that is logged, and nothing watches over
    it. Raises `ConfigError` if such thresholds would leave limits that its plans keep to, and
    `PlanError` if nothing may be sent from the cuts that the settings allow.
    """
    calibration, policy = load_calibration(bundle), load_policy(bundle)
    sent = sent_from(calibration, settings.min_cut)
    planner = Planner(bundle, build_candidates(bundle, sent, policy), board, server)
    scores = score_exits(bundle.manifest, calibration, policy)
    networks = _networks(bundle, board)
    allowed = bundle.manifest.allowed
    if settings.adaptive_thresholds:
        if allowed and allowed.limits:
            raise ConfigError(
                f"bundle {bundle.digest[:12]} was calibrated within limits, which thresholds that "
                "adapt would leave; run it without them"
            )
        if allowed:
            _log.warning(
                "adaptive thresholds make void what bundle %s promises; run it without them for "
                "an accuracy that is promised",
                bundle.digest[:12],
            )
        adaptation = _adaptation(calibration, scores, settings)
        return Deployment(Head(networks, board, adaptation=adaptation), planner)
    vigil = Vigil(bundle.manifest, calibration, scores) if allowed else None
    return Deployment(Head(networks, board, vigil), planner)


def profile_here(
    bundle: Bundle, settings: AgentSettings, report: Report, stopped: Stopped = lambda: False
) -> Profile:
    """Return what is remembered of this machine and fits the settings.

    What would run without a profile is measured now if that is not among it, so that no earlier
    run's options decide for one without any. Raises `MeasuringStopped` if ``stopped`` says so.
    """
    backend, threads = settings.backend, settings.threads
    known = recall(bundle, backend, threads)
    first = (backend or default_backend(bundle), threads or 1)
    if known and first in {(runner.backend, runner.threads) for runner in known.runners}:
        return known
    try:
        measured = measure_profile(bundle, [first], report=report, stopped=stopped)
    except PlanError:  # it does not run here
        if known is None:
            raise
        return known
    remember(measured)
    return recall(bundle, backend, threads) or measured


def succeed(
    old: Deployment, bundle: Bundle, settings: AgentSettings, stopped: Stopped = lambda: False
) -> Deployment:
    """Load a bundle that is to take the place of another one while samples stream.

    Profiles are taken over if the two are of one shape; else this one's is measured, beside the
    samples. Raises `BundleError` if the bundle takes other inputs: the source would go on to
    deliver the old ones; and `MeasuringStopped` if ``stopped`` says so meanwhile.
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
        board, server = old.planner.device, old.planner.server
        digest = bundle.digest
        return deploy(bundle, board.taken_over(digest), server.taken_over(digest), settings)
    here = profile_here(bundle, settings, lambda line: None, stopped)
    return deploy(bundle, here.slowed(settings.slowdown), here, settings)


def _adaptation(calibration: Calibration, scores: Array, settings: AgentSettings) -> Adaptation:
    answers = calibration.final_logits.argmax(axis=-1)
    agrees = calibration.exit_logits.argmax(axis=-1) == answers
    dice = np.random.default_rng(settings.sentinel_seed)
    return Adaptation(AdaptiveThresholds(scores, agrees, settings.sentinel_share, dice))


def same_shape(one: Manifest, other: Manifest) -> bool:
    """Tell whether two bundles differ in weights only, so that all of their parts take as long."""
    return _shape(one) == _shape(other)


def _shape(manifest: Manifest) -> object:
    return (
        [([(t.dtype, t.shape) for t in b.tensors], sorted(b.levels)) for b in manifest.boundaries],
        [
            (cut, pair.latent.shape, *((p.macs, p.skipped) for p in (pair.encoder, pair.decoder)))
            for cut, pair in manifest.bottlenecks.items()
        ],
        [(segment.macs, segment.skipped) for segment in manifest.segments],
        [(spec.boundary, spec.macs, spec.skipped) for spec in manifest.exits],
        manifest.head_backend,
        manifest.policy,
    )


def _networks(bundle: Bundle, profile: Profile) -> list[Network]:
    """Load what each cut's head runs on, and on the last one's what answers without a server."""
    chosen = [profile.runner(cut) for cut in range(bundle.manifest.reach + 1)]
    furthest = {(runner.backend, runner.threads): cut for cut, runner in enumerate(chosen)}
    networks = {key: Network(bundle, *key, range(cut)) for key, cut in furthest.items()}
    return [networks[runner.backend, runner.threads] for runner in chosen]
