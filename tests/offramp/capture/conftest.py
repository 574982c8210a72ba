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
from offramp.backends import Run
from offramp.capture.cutting import Segment, cut_graph
from offramp.capture.export import capture
from offramp.capture.exporters import export_segment


@dataclass(frozen=True)
class CutModel:
    """A model, its segments, and a folder with each of them as programs of every backend."""

    model: nn.Module
    segments: Sequence[Segment]
    places: dict[str, int]
    folder: Path

    def runs(self, backend: str) -> list[Run]:
        engine = backends.get(backend)
        return [engine.load([self.folder / str(at)], 1) for at in range(len(self.segments))]

    def worst_difference(self, backend: str, inputs: Sequence[Tensor]) -> float:
        """Run segment by segment; compare with the model and check every boundary's spec."""
        with torch.no_grad():
            expected = self.model(*inputs)
        values = [tensor.numpy() for tensor in inputs]
        for segment, run in zip(self.segments, self.runs(backend), strict=True):
            for spec, array in zip(segment.inputs, values, strict=True):
                spec.check(array[0])
                assert len(array) == len(inputs[0])
            values = run(values)
        (found,) = values
        return float(np.abs(found - expected.numpy()).max())


@pytest.fixture
def cut(tmp_path: Path, one_registry: None) -> Callable[..., CutModel]:
    def make(
        model: nn.Module,
        *inputs: Tensor,
        after: Sequence[str] = (),
        max_segments: int = 3,
    ) -> CutModel:
        segments, places = cut_graph(capture(model, inputs), after, max_segments)
        values = list(inputs)
        for at, segment in enumerate(segments):
            (tmp_path / str(at)).mkdir()
            for name, data in export_segment(segment.module, values, str(at)).files.items():
                (tmp_path / name).write_bytes(data)
            with torch.no_grad():
                values = list(segment.module(*values))
        return CutModel(model, segments, places, tmp_path)

    return make
