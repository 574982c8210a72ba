"""Small networks cut, exported and loaded on every backend, without a whole compile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp import backends
from offramp.backends import Backend, Chain, Link, Run
from offramp.capture.cutting import CutModel, cut_graph
from offramp.capture.export import export
from offramp.capture.exporters import export_segment
from offramp.capture.graph import CapturedGraph, read_program
from offramp.tensors import TensorSpec


def cut_model(
    model: nn.Module,
    inputs: Sequence[Tensor],
    after: Sequence[str] = (),
    most: int = 64,
    graph: CapturedGraph | None = None,
) -> CutModel:
    """Cut a model that takes its inputs by place; capture it first, if it is not ``graph``."""
    return cut_graph(graph or read_program(export(model, inputs)), inputs, after, most)


@dataclass(frozen=True)
class Exported:
    """A cut model, and a folder with each of its segments as programs of every backend."""

    model: nn.Module
    cut: CutModel
    folder: Path

    def worst_difference(self, backend: str, inputs: Sequence[Tensor]) -> float:
        """Compare the model with its segments, run one by one and joined, at every boundary."""
        engine = backends.get(backend)
        links = [
            Link(self.folder / str(at), _names(segment.reads), _names(segment.makes))
            for at, segment in enumerate(self.cut.segments)
        ]
        runs = [engine.load(Chain((link,), link.makes), 1) for link in links]
        return max(
            worst_difference(self.model, self.cut, runs, inputs),
            self._joined_difference(engine, links, inputs),
        )

    def _joined_difference(
        self, engine: Backend, links: Sequence[Link], inputs: Sequence[Tensor]
    ) -> float:
        last = _names(self.cut.boundaries[-1])
        chain = Chain(tuple(links), tuple(n for link in links for n in link.makes if n in last))
        values = {
            spec.name: tensor.numpy()
            for spec, tensor in zip(self.cut.boundaries[0], inputs, strict=True)
        }
        made = engine.load(chain, 1)([values[name] for name in chain.reads])
        values.update(zip(chain.makes, made, strict=True))
        with torch.no_grad():
            expected = self.cut.operations.graph.flatten(self.model(*inputs))
        return max(
            float(np.abs(values[name] - output.numpy()).max())
            for name, output in zip(last, expected, strict=True)
        )


def _names(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
    return tuple(spec.name for spec in specs)


def worst_difference(
    model: nn.Module, cut: CutModel, runs: Sequence[Run], inputs: Sequence[Tensor]
) -> float:
    """Return the largest difference between the model's outputs and its segments'."""
    with torch.no_grad():
        expected = cut.operations.graph.flatten(model(*inputs))
    specs = cut.boundaries[0]
    values = {spec.name: tensor.numpy() for spec, tensor in zip(specs, inputs, strict=True)}
    for boundary, segment, run in zip(cut.boundaries, cut.segments, runs, strict=False):
        for spec in boundary:
            spec.check(values[spec.name][0])
            assert len(values[spec.name]) == len(inputs[0])
        names = {spec.name for spec in boundary}
        assert {spec.name for spec in segment.reads} <= names
        made = run([values[spec.name] for spec in segment.reads])
        values = {name: values[name] for name in names}  # nothing else has crossed
        values.update(zip((spec.name for spec in segment.makes), made, strict=True))
    found = [values[spec.name] for spec in cut.boundaries[-1]]
    return max(
        float(np.abs(mine - theirs.numpy()).max())
        for mine, theirs in zip(found, expected, strict=True)
    )


@pytest.fixture
def cut(tmp_path: Path, exported_once: None) -> Callable[..., Exported]:
    def make(
        model: nn.Module, *inputs: Tensor, most: int = 3, graph: CapturedGraph | None = None
    ) -> Exported:
        found = cut_model(model, inputs, most=most, graph=graph)
        values = {s.name: t for s, t in zip(found.boundaries[0], inputs, strict=True)}
        for at, segment in enumerate(found.segments):
            given = [values[spec.name] for spec in segment.reads]
            for name, data in export_segment(segment.module, given, str(at)).files.items():
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_bytes(data)
            with torch.no_grad():
                made = segment.module(*given)
            values.update(zip((spec.name for spec in segment.makes), made, strict=True))
        return Exported(model, found, tmp_path)

    return make
