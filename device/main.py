"""Puts an agent together from a bundle, a source and settings."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from device.agent import Agent
from device.controller import Controller
from device.head import Head
from device.obtain import Obtained, obtain_bundle
from device.pace import SLOWDOWN_SOURCE
from device.settings import AgentSettings
from device.sinks import JsonLinesSink, Sink, TerminalSink
from device.sources import open_source
from offramp import __version__, backends
from offramp.bundle import Bundle
from offramp.calibration import load_calibration
from offramp.network import Network
from offramp.settings import load_settings
from partitioner import strategies
from partitioner.candidates import build_candidates
from partitioner.machine import differences, this_machine
from partitioner.measure import measure_profile
from partitioner.planner import Planner
from partitioner.profile import Profile, load_profile
from partitioner.remembered import recall, remember

__all__ = ["run_agent"]

_log = logging.getLogger(__name__)


def run_agent(bundle_path: Path | None, source_text: str, options: dict[str, Any]) -> None:
    """Run the agent with the command line's options."""
    settings = _settings(options)
    strategy = strategies.get(settings.strategy)
    if settings.backend is not None:
        backends.get(settings.backend)
    obtained = obtain_bundle(
        bundle_path,
        settings,
        require_server=options["require_server"],
        show=not options["quiet"],
    )
    bundle = obtained.bundle
    source = open_source(source_text, bundle.manifest)
    there = load_profile(options["server_profile"]) if options["server_profile"] else None
    here = _profile(bundle, settings, options["profile"])
    board = here.slowed(settings.slowdown)
    candidates = build_candidates(bundle, load_calibration(bundle))
    planner = Planner(bundle, candidates, board, there or here)
    controller = Controller(planner, settings.objective, strategy, settings.tuning)
    head = Head(_networks(bundle, board), board)
    with ExitStack() as stack:
        sinks: list[Sink] = [JsonLinesSink(target) for target in options["outs"]]
        if not options["quiet"]:
            sinks.append(TerminalSink(source.count))
        for sink in sinks:
            stack.callback(sink.close)
            sink.write(_opening(obtained, settings, board, source.count))
        agent = Agent(head, controller, settings, sinks, require_server=options["require_server"])
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, partial(_interrupt, agent))
        agent.run(source)


def _interrupt(agent: Agent, number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    agent.interrupt()


def _settings(options: dict[str, Any]) -> AgentSettings:
    names = ("server", "model", "strategy", "backend", "threads", "slowdown", "rate_hz")
    given = {name: options[name] for name in names}
    if options["deadline_ms"] is not None:
        given["deadline_s"] = options["deadline_ms"] / 1e3
    given["objective"] = {name: options[name] for name in ("max_accuracy_drop", "minimise")}
    return load_settings(AgentSettings, options["settings"], given)


def _profile(bundle: Bundle, settings: AgentSettings, path: Path | None) -> Profile:
    """Return the profile given, the one remembered or one measured now."""
    if path is not None:
        profile = load_profile(path)
        if unlike := "; ".join(differences(profile, this_machine())):
            _log.warning("%s was measured elsewhere or before a change: %s", path, unlike)
        return profile.only(settings.backend, settings.threads)
    if known := recall(bundle, settings.backend, settings.threads):
        return known
    first = settings.backend or Network(bundle).backend
    profile = measure_profile(bundle, [(first, settings.threads or 1)], report=_log.warning)
    remember(profile)
    return profile


def _networks(bundle: Bundle, profile: Profile) -> list[Network]:
    """Load what each cut's head runs on, and on the last one's also what is left of the model."""
    chosen = [profile.runner(cut) for cut in bundle.cuts]
    furthest = {(runner.backend, runner.threads): cut for cut, runner in enumerate(chosen)}
    networks = {key: Network(bundle, *key, range(cut)) for key, cut in furthest.items()}
    return [networks[runner.backend, runner.threads] for runner in chosen]


def _opening(
    obtained: Obtained, settings: AgentSettings, board: Profile, count: int | None
) -> dict[str, Any]:
    bundle = obtained.bundle
    return {
        "kind": "run",
        **settings.model_dump(),
        "offramp": __version__,
        "model": bundle.manifest.name,
        "digest": bundle.digest,
        "bundle_origin": obtained.origin,
        "bundle_reason": obtained.reason,
        "fetched_bytes": obtained.fetched_bytes,
        "fetch_s": round(obtained.fetch_s, 3),
        "segments": len(bundle.manifest.segments),
        "exits": [spec.name for spec in bundle.manifest.exits],
        "samples": count,
        "machine": board.machine.model_dump(),
        "slowdown": board.slowdown,
        "slowdown_source": SLOWDOWN_SOURCE,
        "whole_model_s": board.head[-1].median_s,
    }
