"""Puts an agent together from a bundle, a source and settings."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from device.agent import Agent
from device.controller import Controller
from device.deployment import Deployment, deploy, profile_here
from device.heed import draw_heed
from device.obtain import Obtained, Supplier, obtain_bundle
from device.pace import SLOWDOWN_SOURCE
from device.security import SecuritySettings
from device.settings import AgentSettings
from device.sinks import JsonLinesSink, Sink, TerminalSink
from device.sources import check_source, open_source
from offramp import __version__, backends
from offramp.address import Address
from offramp.bundle import Bundle
from offramp.errors import ConfigError
from offramp.files import open_file, warn_if_open
from offramp.settings import load_settings
from partitioner import strategies
from partitioner.machine import differences, this_machine
from partitioner.objective import HEAD_ALONE
from partitioner.profile import Profile, load_profile, naming

if TYPE_CHECKING:  # what not every device needs: metrics, and gRPC (see device/agent.py)
    from device.metrics import MetricsSink
    from device.renewal import Renewal

__all__ = ["run_agent"]

_log = logging.getLogger(__name__)


def run_agent(bundle_path: Path | None, source_text: str, options: dict[str, Any]) -> None:
    """Run the agent with the command line's options."""
    settings = _settings(options)
    for name in ("require_server", "model"):
        if options[name] and not settings.server:
            raise ConfigError(f"--{name.replace('_', '-')} has no meaning without --server")
    _check_names(settings, source_text, {"bundle": bundle_path, **options})
    if settings.server:
        _check_security(settings.security, settings.server)
    if settings.objective.spares_memory:
        _log.warning("%s", HEAD_ALONE)
    with ExitStack() as stack:
        sinks = _open_outs(options["outs"], stack)
        if settings.metrics:
            metrics, settings = _show_metrics(settings, settings.metrics, stack)
            sinks.append(metrics)
        if settings.traces:
            sinks.append(_open_traces(settings.traces))
            stack.callback(sinks[-1].close)
        obtained = obtain_bundle(
            bundle_path,
            settings,
            require_server=options["require_server"],
            show=not options["quiet"],
        )
        source = open_source(source_text, obtained.bundle.manifest)
        deployment = _deploy(obtained.bundle, settings, options)
        if not options["quiet"]:
            sinks.append(TerminalSink(source.count))
            stack.callback(sinks[-1].close)
        for sink in sinks:
            sink.write(_opening(obtained, settings, deployment, source.count))
        agent = _assemble(obtained, settings, deployment, sinks, options["require_server"])
        if settings.metrics:
            metrics.read_breaker(agent.is_breaker_open)
        del obtained, deployment  # a bundle that has been replaced is let go
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, partial(_interrupt, agent))
        agent.run(source)


def _deploy(bundle: Bundle, settings: AgentSettings, options: dict[str, Any]) -> Deployment:
    there_path = options["server_profile"]
    there = load_profile(there_path, bundle) if there_path else None
    here = _profile(bundle, settings, options["profile"])
    return deploy(bundle, here.slowed(settings.slowdown), there or here, settings)


def _assemble(
    obtained: Obtained,
    settings: AgentSettings,
    deployment: Deployment,
    sinks: Sequence[Sink],
    require_server: bool,
) -> Agent:
    supplier = Supplier.of(settings) if obtained.origin != "file" else None
    return Agent(
        deployment.head,
        Controller(
            deployment.planner,
            settings.objective,
            strategies.get(settings.strategy),
            settings.tuning,
            draw_heed(settings.tuning.heed_spread, Random()),
        ),
        settings,
        sinks,
        renewal=_renewal(deployment, settings, supplier) if supplier else None,
        require_server=require_server,
        await_server=obtained.origin != "cache",  # it was just waited for
        draw_trace=_trace_draw(settings),
    )


def _check_names(settings: AgentSettings, source_text: str, options: dict[str, Any]) -> None:
    """Raise `ConfigError` for names of nothing, before a bundle is fetched or measured."""
    with _naming_source(options, "strategy"):
        strategies.get(settings.strategy)
    if settings.backend is not None:
        with _naming_source(options, "backend"):
            backends.get(settings.backend)
    for name in ("bundle", "profile", "server_profile"):
        if options[name] and not (name == "bundle" and options[name].is_dir()):
            open_file(options[name]).close()
    check_source(source_text)


def _check_security(security: SecuritySettings, servers: Sequence[Address]) -> None:
    """Raise `ConfigError` for what is wrong with the files now: later it would be the link's."""
    for server in servers:
        security.credentials(server)
    for secret in (security.key, security.token_file):
        if secret is not None:
            warn_if_open(secret)


@contextmanager
def _naming_source(options: dict[str, Any], key: str) -> Iterator[None]:
    """Name file and key in an error where the settings file said it, not the option."""
    try:
        yield
    except ConfigError as error:
        if options[key] is not None or options["settings"] is None:
            raise
        raise ConfigError(f"{options['settings']}: {key}: {error}") from None


def _open_outs(targets: Sequence[str], stack: ExitStack) -> list[Sink]:
    """Open what results are written to, before anything that takes time."""
    sinks: list[Sink] = []
    for target in dict.fromkeys(targets):
        sinks.append(JsonLinesSink(target))
        stack.callback(sinks[-1].close)  # at once: the next one may not be writable
    return sinks


def _show_metrics(
    settings: AgentSettings, listen: Address, stack: ExitStack
) -> tuple[MetricsSink, AgentSettings]:
    """Return what counts, and the settings with the port that was bound."""
    from device.metrics import MetricsSink
    from offramp.exposition import MetricsEndpoint

    sink = MetricsSink()
    endpoint = MetricsEndpoint(listen, sink.registry)
    stack.callback(endpoint.close)
    return sink, settings.model_copy(update={"metrics": endpoint.address})


def _open_traces(collector: str) -> Sink:
    from device.traces import TraceSink
    from offramp.tracing import open_recorder

    return TraceSink(open_recorder("offramp-device", collector))


def _trace_draw(settings: AgentSettings) -> Callable[[], bytes]:
    """Return what says of each sample whether it is traced, and as which trace."""
    if not settings.traces:
        return bytes
    from device.traces import TraceDraw

    return TraceDraw(settings.trace_share, Random())


def _renewal(deployment: Deployment, settings: AgentSettings, supplier: Supplier) -> Renewal:
    from device.renewal import Renewal

    return Renewal(deployment, settings, supplier)


def _interrupt(agent: Agent, number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    agent.interrupt()


def _settings(options: dict[str, Any]) -> AgentSettings:
    run, seen = ("model", "strategy", "rate_hz", "min_cut"), ("metrics", "traces")
    names = (*run, "backend", "threads", "slowdown", *seen)
    given = {name: options[name] for name in names}
    for name in ("server", "adaptive_thresholds"):  # where no option says so the file may
        given[name] = options[name] or None
    if options["deadline_ms"] is not None:
        given["deadline_s"] = options["deadline_ms"] / 1e3
    secured = ("authority", "certificate", "key", "token_file", "server_name")
    given["security"] = {name: options[name] for name in secured}
    given["objective"] = {name: options[name] for name in ("max_accuracy_drop", "minimise")}
    return load_settings(AgentSettings, options["settings"], given)


def _profile(bundle: Bundle, settings: AgentSettings, path: Path | None) -> Profile:
    """Return the profile given, the one remembered or one measured now."""
    if path is not None:
        profile = load_profile(path, bundle)
        if unlike := "; ".join(differences(profile, this_machine())):
            _log.warning("%s was measured elsewhere or before a change: %s", path, unlike)
        with naming(path):
            profile = profile.only(settings.backend, settings.threads)
            profile.check_heads(bundle)
        return profile
    return profile_here(bundle, settings, _log.warning)


def _opening(
    obtained: Obtained, settings: AgentSettings, deployment: Deployment, count: int | None
) -> dict[str, Any]:
    bundle, board = obtained.bundle, deployment.planner.device
    quantised = bundle.manifest.quantised
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
        "compute_w": board.power.compute_w if board.power else None,
        "quantised": quantised.model_dump() if quantised else None,
        "promise": deployment.promise,
    }
