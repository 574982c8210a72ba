"""Models of the zoo: every cut of each gives what the whole gives, and the chain loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.zoo import ZOO, Entry
from offramp.capture.cutting import cut_graph
from offramp.capture.export import export
from offramp.capture.graph import read_program

pytest.importorskip("transformers")

NAMES = (
    *("MobileNetV2", "Swin", "SegFormer segmentation", "LeViT", "BEiT relative"),
    *("BERT", "XLNet", "DeBERTa", "LLaMA"),
    *("Wav2Vec2", "Speech2Text encoder"),
    *("DenseNet", "GRU", "Feature pyramid", "Two towers"),
)


@pytest.mark.models
@pytest.mark.parametrize("name", NAMES)
def test_at_every_cut_a_model_of_the_zoo_gives_the_same(name: str) -> None:
    entry: Entry = next(entry for entry in ZOO if entry.name == name)
    model, samples = entry.build()
    keyword = {key: torch.tensor(array) for key, array in samples.keyword.items()}
    positional = [torch.tensor(array) for array in samples.positional]
    graph = read_program(export(model, positional, keyword))
    inputs = [*positional, *keyword.values()]
    cut = cut_graph(graph, [tensor[:1] for tensor in inputs], (), 8)
    assert cut.chain.gap == 0
    assert len(cut.segments) > (0 if name == "GRU" else 2)
    with torch.no_grad():
        expected = graph.flatten(model(*positional, **keyword))
        values = dict(zip((spec.name for spec in cut.boundaries[0]), inputs, strict=True))
        for segment, behind in zip(cut.segments, cut.boundaries[1:], strict=True):
            made = segment.module(*(values[spec.name] for spec in segment.reads))
            values.update(zip((spec.name for spec in segment.makes), made, strict=True))
            values = {spec.name: values[spec.name] for spec in behind}
            for spec in behind:
                spec.check(values[spec.name][0].numpy())
    for array, whole in zip(values.values(), expected, strict=True):
        assert whole.std(0).max() > 1e-3, "the weights drawn say nothing"
        largest = float(whole.abs().max())
        np.testing.assert_allclose(array.numpy(), whole.numpy(), rtol=0, atol=1e-4 * largest)
