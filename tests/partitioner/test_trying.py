"""Trying: which engines that take long to load are worth measuring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from offramp import backends
from offramp.bundle import Bundle
from partitioner.measure import runners_here
from partitioner.trying import PROMISING, promising


class _Compiling(backends.Backend):
    """Runs ONNX, adds ``off`` to its answers, and counts what it loads."""

    package = "onnxruntime"
    file = "model.onnx"
    ready_at_once = False

    def __init__(self, name: str, off: float = 0.0) -> None:
        self.name = name  # type: ignore[misc]
        self.off = off
        self.loaded: list[int] = []

    def load(self, chain: Any, threads: int) -> Any:
        self.loaded.append(len(chain.links))
        run = backends.get("onnxruntime").load(chain, threads)
        return lambda inputs: [out + np.asarray(self.off, out.dtype) for out in run(inputs)]


@pytest.fixture
def times_s(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What each engine takes for the whole model; all that are not named, a second."""
    given: dict[str, float] = {}
    monkeypatch.setattr(
        "partitioner.trying._time_s", lambda network: given.get(network.backend, 1.0)
    )
    return given


def _install(monkeypatch: pytest.MonkeyPatch, engines: Sequence[_Compiling]) -> None:
    for name in [b.name for b in backends.installed() if not b.ready_at_once]:
        monkeypatch.delitem(backends.BACKENDS, name)
    for engine in engines:
        monkeypatch.setitem(backends.BACKENDS, engine.name, engine)


def test_what_is_nearly_as_fast_is_measured_and_what_is_slower_is_named(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch, times_s: dict[str, float]
) -> None:
    engines = [_Compiling(name, off) for name, off in (("near", 0), ("far", 0), ("off", 0.1))]
    _install(monkeypatch, engines)
    times_s.update(onnxruntime=0.5, near=0.5 * PROMISING, far=0.51 * PROMISING, off=0.1)
    lines: list[str] = []
    assert list(promising(tiny, lines.append)) == ["near"]
    assert lines[0] == "trying near on the whole model, which it compiles first"
    assert lines[1].startswith("near takes 1.25 times as long as the fastest other engine; ")
    assert lines[3] == (
        "leaving it out: far takes 1.27 times as long as the fastest other engine; name it with "
        "--backend to measure it nevertheless"
    )
    assert lines[5].startswith("leaving out off: its answers differ by 0.")
    depth = len(tiny.manifest.segments)
    assert [engine.loaded for engine in engines] == [[depth]] * 3  # once, as one program


def test_all_that_is_installed_is_tried_where_nothing_is_named(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch, times_s: dict[str, float]
) -> None:
    _install(monkeypatch, [_Compiling("near"), _Compiling("far")])
    times_s.update(far=9.0)
    names = [name for name, _ in runners_here(tiny, threads=[1])]
    ready = [b.name for b in tiny.backends if b.ready_at_once]
    assert names == [*ready, "near"]
    assert runners_here(tiny, ["far"], [1, 2]) == [("far", 1), ("far", 2)]


def test_where_nothing_takes_long_to_load_nothing_is_tried(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(monkeypatch, [])
    lines: list[str] = []
    assert list(promising(tiny, lines.append)) == lines == []


@pytest.mark.models
def test_a_real_compiling_engine_is_tried(tiny: Bundle) -> None:
    if "torch_compile" not in {backend.name for backend in tiny.backends}:
        pytest.skip("needs a C++ compiler for torch.compile")
    lines: list[str] = []
    list(promising(tiny, lines.append))
    (said,) = [line for line in lines if " takes " in line and "torch_compile" in line]
    assert "times as long as the fastest other engine" in said
