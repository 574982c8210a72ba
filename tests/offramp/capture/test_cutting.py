"""Any cut of a model, on any backend and batch size, gives what the whole model gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, fx, nn

from offramp import backends
from offramp.backends import Run
from offramp.backends.torch_program import build_program
from offramp.capture.cutting import CutModel, cut_graph
from offramp.capture.export import export
from offramp.capture.exporters import weights_of
from offramp.capture.exporters.program import ProgramExporter
from offramp.capture.graph import CapturedGraph, read_program
from offramp.capture.outline import write_outline
from offramp.errors import CaptureError
from tests.offramp.capture import random_networks
from tests.offramp.capture.conftest import cut_model, worst_difference


def _conv(inputs: int, outputs: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


class Chain(nn.Module):
    """VGG's form: in-place activations, and a batch size read at the start and used at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, 4), nn.ReLU(inplace=True), nn.MaxPool2d(2), _conv(4, 6), nn.ReLU(inplace=True)
        )
        self.answer = nn.Linear(6 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        batch = x.size(0)
        return self.answer(self.features(x).view(batch, -1))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = _conv(4, 4, bias=False), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 4)
        self.block_1, self.block_2 = Block(), Block()
        self.answer = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.block_2(self.block_1(self.stem(x))).mean((2, 3)))


class Shared(nn.Module):
    """One layer runs in two segments, and a constant is used on both sides of a cut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice, self.answer = _conv(3, 4), _conv(4, 4), nn.Linear(4, 5)
        self.register_buffer("scale", torch.rand(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x)) * self.scale
        x = torch.relu(self.twice(x)) * self.scale
        return self.answer(torch.relu(self.twice(x)).mean((2, 3)))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = _conv(3, 4), _conv(4, 4), nn.Conv2d(4, 4, 1)
        self.join, self.answer = _conv(8, 4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.cat([self.left(x), self.right(x)], 1)
        return self.answer(torch.relu(self.join(x)).mean((2, 3)))


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 8, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.deep = nn.Sequential(_conv(8, 8, groups=8), nn.BatchNorm2d(8), nn.Hardswish())
        self.answer = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.deep(self.stem(x)).mean((2, 3)))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.place = nn.Parameter(torch.rand(1, 4, 16))
        self.norm_1, self.norm_2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.answer = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        y = self.norm_1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.answer((x + self.feed(self.norm_2(x))).mean(1))


class Bytes(Residual):
    """Takes images as cameras give them."""

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.tensor([0.5, 0.4, 0.3])
        return super().forward(((x.float() / 255 - mean) / 0.25).permute(0, 3, 1, 2))


class NamesThatMeet(nn.Module):
    """Two weights whose paths are equal once dots become underscores."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_a, self.answer = nn.Module(), nn.Module(), nn.Linear(8, 5)
        self.stem.a_b = nn.Parameter(torch.rand(3, 8, 8))
        self.stem_a.b = nn.Parameter(torch.rand(3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.answer((x * self.stem.a_b - self.stem_a.b).mean((1, 2)))


class Dense(nn.Module):
    """DenseNet's form: every layer reads all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_conv(3 + 4 * at, 4) for at in range(4))
        self.answer = nn.Linear(19, 5)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, torch.relu(layer(x))], 1)
        return self.answer(x.mean((2, 3)))


class UNet(nn.Module):
    """Skip connections that cross the deepest part; its answer is an image."""

    def __init__(self) -> None:
        super().__init__()
        self.down_1, self.down_2 = _conv(3, 4), _conv(4, 8, stride=2)
        self.deep, self.up = _conv(8, 8), nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.answer = _conv(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        high = torch.relu(self.down_1(x))
        low = torch.relu(self.deep(torch.relu(self.down_2(high))))
        return self.answer(torch.cat([high, torch.relu(self.up(low))], 1))


class Masked(nn.Module):
    """Two inputs, one of which is needed to the end, and outputs in a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.first, self.second = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.answer = nn.Linear(8, 5)

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Any]:
        keep = (mask > 0)[:, :, None]
        x = torch.tanh(self.first(self.words(tokens))) * keep
        x = torch.tanh(self.second(x)) * keep
        return {"last": x, "nothing": None, "logits": self.answer(x.sum(1) / keep.sum(1))}


class Tokens(nn.Module):
    """A learned token as long as the batch, and a constant that weights alone make."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Linear(24, 8), nn.Parameter(torch.rand(1, 1, 8))
        self.scale, self.mix = nn.Parameter(torch.rand(8, 8)), nn.Linear(8, 8)
        self.answer = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.softmax(self.scale, 0)
        x = self.patches(x.permute(0, 2, 1, 3).flatten(2))
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) @ scale
        x = torch.relu(self.mix(x)) @ scale
        return self.answer(x[:, 0])


class SequenceFirst(nn.Module):
    """Its values have the batch as their second dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 2)
        self.feed, self.answer = nn.Linear(24, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(2, 0, 1, 3).flatten(2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.answer(torch.relu(self.feed(x)).mean(0))


class MaskedInFloats(nn.Module):
    """A mask made of -infinities, added in every layer, and root mean squares that normalise."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.layers = nn.ModuleList(nn.Linear(8, 24) for _ in range(3))
        self.norm, self.answer = nn.Parameter(torch.rand(8)), nn.Linear(8, 5)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        seen = (mask[:, None, :] * mask[:, :, None]).bool()
        bias = torch.where(seen, 0.0, float("-inf")).masked_fill(~seen.any(2, keepdim=True), 0.0)
        x = self.words(tokens)
        for layer in self.layers:
            y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.norm
            query, key, value = layer(y).chunk(3, 2)
            x = x + torch.softmax(query @ key.transpose(1, 2) + bias, 2) @ value
        return self.answer(x.mean(1))


KINDS = (
    SequenceFirst,
    MaskedInFloats,
    Dense,
    UNet,
    Masked,
    Tokens,
    Chain,
    Residual,
    Shared,
    Branches,
    Depthwise,
    Transformer,
    Bytes,
    NamesThatMeet,
)


def _build(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(1)
    model = kind()
    for module in model.modules():  # untrained normalisations would do nothing
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


def _inputs(kind: type[nn.Module], batch: int) -> list[Tensor]:
    dice = torch.Generator().manual_seed(batch)
    if kind is Bytes:
        return [torch.randint(0, 256, (batch, 8, 8, 3), generator=dice, dtype=torch.uint8)]
    if kind in (Masked, MaskedInFloats):
        tokens = torch.randint(0, 20, (batch, 6), generator=dice)
        return [tokens, (torch.arange(6) < 4).expand(batch, 6).long()]
    return [torch.rand(batch, 3, 8, 8, generator=dice)]


@pytest.mark.models
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_in_segments_a_model_gives_the_same(kind: type[nn.Module], cut: Callable[..., Any]) -> None:
    few = 2 if kind in (Chain, Transformer, UNet, Masked) else 1  # an export takes a second or more
    found = cut(_build(kind), *_inputs(kind, 2), most=few, graph=_captured(kind))
    assert len(found.cut.segments) == few
    for backend in (engine.name for engine in backends.installed() if engine.exact):
        if backend == "torch_compile" and kind not in (Chain, Masked):
            continue  # it takes five seconds or more
        for batch in (1, 3):
            assert found.worst_difference(backend, _inputs(kind, batch)) < 2e-5, (backend, batch)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_at_every_cut_a_model_gives_the_same(kind: type[nn.Module]) -> None:
    found = _cut_only(kind)
    assert len(found.segments) > 1 or kind is NamesThatMeet
    runs = [_as_run(_read_back(segment.module)) for segment in found.segments]
    for batch in (1, 3):
        assert worst_difference(_build(kind), found, runs, _inputs(kind, batch)) < 2e-5


@pytest.mark.models
@settings(max_examples=6, deadline=None)
@given(shape=random_networks.shapes())
def test_networks_of_any_shape_can_be_cut(shape: random_networks.Shape) -> None:
    model = random_networks.build(shape)
    inputs = [torch.rand(2, 4)]
    found = cut_model(model, inputs)
    runs = [_as_run(segment.module) for segment in found.segments]
    assert found.chain.gap == 0
    assert worst_difference(model, found, runs, [torch.rand(3, 4)]) < 1e-5


def _program(module: fx.GraphModule) -> bytes:
    return ProgramExporter().export(module, [], b"")


def _read_back(module: fx.GraphModule) -> fx.GraphModule:
    """Return a module through the form in which a bundle holds it."""
    return build_program(_program(module), weights_of(module))


def _as_run(module: fx.GraphModule) -> Run:
    def run(arrays: Sequence[Any]) -> list[Any]:
        packed = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
        with torch.no_grad():
            return [made.numpy() for made in module(*packed)]

    return run


@cache
def _captured(kind: type[nn.Module]) -> CapturedGraph:
    return read_program(export(_build(kind), _inputs(kind, 2)))


def _cut_only(kind: type[nn.Module], after: tuple[str, ...] = (), most: int = 64) -> CutModel:
    return cut_graph(_captured(kind), _inputs(kind, 2), after, most)


def test_work_is_positive_and_does_not_depend_on_the_cuts() -> None:
    (whole,) = _cut_only(Residual, most=1).segments
    segments = _cut_only(Residual).segments
    assert whole.macs == 64 * (3 * 4 + 2 * 4 * 4) * 9 + 4 * 5
    assert sum(s.macs for s in segments) == whole.macs


@pytest.mark.parametrize("most", [1, 2, 3, 4, 64])
def test_there_are_no_more_segments_than_asked_for(most: int) -> None:
    found = _cut_only(Chain, most=most)
    assert len(found.segments) <= most
    assert len(found.boundaries) == len(found.segments) + 1


def test_skip_connections_cross_as_tensors_of_their_own() -> None:
    found = _cut_only(UNet, ("deep",))
    at, name = found.places["deep"]
    assert [spec.shape for spec in found.boundaries[at]] == [(4, 8, 8), (8, 4, 4)]
    assert found.boundaries[at][1].name == name


def test_an_input_that_is_needed_later_crosses_and_what_is_made_from_it_does_not() -> None:
    found = _cut_only(Masked, ("first",))
    at, name = found.places["first"]
    assert [spec.name for spec in found.boundaries[at]] == ["mask", name]
    assert all(spec.dtype != "bool" for boundary in found.boundaries for spec in boundary)
    assert [spec.name for spec in found.boundaries[0]] == ["tokens", "mask"]
    assert [spec.name for spec in found.boundaries[-1]] == ["logits", "last"]


def test_a_value_with_the_batch_second_crosses_with_the_batch_first() -> None:
    found = _cut_only(SequenceFirst)
    shapes = {spec.shape for boundary in found.boundaries[1:-1] for spec in boundary}
    assert (8, 24) in shapes


def test_what_crosses_may_have_had_other_strides() -> None:
    class Strided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.swapped, self.answer = nn.Linear(4, 4), nn.Tanh(), nn.Linear(12, 5)

        def forward(self, x: Tensor) -> Tensor:
            y = self.swapped(self.mix(x).transpose(1, 2))
            return self.answer(y.transpose(1, 2).view(-1, 12))

    model, x = _build(Strided), torch.rand(2, 3, 4)
    found = cut_model(model, [x], ["swapped"])
    runs = [_as_run(_read_back(segment.module)) for segment in found.segments]
    assert worst_difference(model, found, runs, [x]) < 1e-6


def test_a_mask_of_floats_never_crosses_and_a_norm_is_not_cut_in_two() -> None:
    found = _cut_only(MaskedInFloats)
    crossing = [{(s.dtype, s.shape) for s in boundary} for boundary in found.boundaries]
    assert all(("float32", (6, 6)) not in tensors for tensors in crossing)
    assert {("int64", (6,)), ("float32", (6, 8))} in crossing[2:-1]


def test_what_weights_alone_make_is_worked_out_at_compile_time() -> None:
    for segment in _cut_only(Tokens).segments:
        assert "aten.softmax" not in str(segment.module.graph)


def test_named_modules_are_cut_after_whatever_the_limit() -> None:
    found = _cut_only(Residual, ("block_1", "block_2"), 1)
    assert {name: at for name, (at, _) in found.places.items()} == {"block_1": 1, "block_2": 2}
    shapes = [[spec.shape for spec in boundary] for boundary in found.boundaries[1:]]
    assert shapes == [[(4, 8, 8)], [(4, 8, 8)], [(5,)]]
    model, (x,) = _build(Residual), _inputs(Residual, 2)
    with torch.no_grad():
        (first,) = found.segments[0].module(x)
        (second,) = found.segments[1].module(first)
        torch.testing.assert_close(first, model.block_1(model.stem(x)))
        torch.testing.assert_close(second, model.block_2(model.block_1(model.stem(x))))


def test_a_cut_may_follow_a_module_that_others_bypass() -> None:
    found = _cut_only(Skipping, ("block_1",))
    at, name = found.places["block_1"]
    tensors = [spec.name for spec in found.boundaries[at]]
    assert name in tensors
    assert len(tensors) == 2
    model, (x,) = _build(Skipping), _inputs(Skipping, 2)
    values = {found.boundaries[0][0].name: x}
    with torch.no_grad():
        for segment in found.segments[:at]:
            made = segment.module(*(values[spec.name] for spec in segment.reads))
            values.update(zip((spec.name for spec in segment.makes), made, strict=True))
        torch.testing.assert_close(values[name], model.block_1(model.stem(x)))


def test_a_module_that_runs_twice_is_cut_after_its_last_run() -> None:
    found = _cut_only(Shared, ("twice",))
    model, (x,) = _build(Shared), _inputs(Shared, 2)
    values = [x]
    with torch.no_grad():
        for segment in found.segments[: found.places["twice"][0]]:
            values = segment.module(*values)
        once = torch.relu(model.stem(x)) * model.scale
        expected = model.twice(torch.relu(model.twice(once)) * model.scale)
    torch.testing.assert_close(values[0], expected)


@pytest.mark.parametrize("kind", [Residual, Depthwise])
def test_normalisation_disappears_into_convolutions(kind: type[nn.Module]) -> None:
    for segment in _cut_only(kind).segments:
        assert b"batch_norm" not in _program(segment.module)
        assert not any("running" in name for name in weights_of(segment.module))


def test_a_normalisation_without_a_convolution_before_it_stays() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 5)).eval()
    (segment,) = cut_model(model, [torch.rand(2, 3, 8, 8)], most=1).segments
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(segment.module(x)[0], model(x))


def test_weights_used_twice_are_stored_once_a_segment() -> None:
    (whole,) = _cut_only(Shared, most=1).segments
    assert sum(w.numel() for w in weights_of(whole.module).values()) == sum(
        p.numel() for p in _build(Shared).state_dict().values()
    )


def test_programs_and_onnx_hold_no_pickle_path_or_second_weights(
    cut: Callable[..., Any], tmp_path: Any
) -> None:
    import onnx

    cut(_build(Chain), *_inputs(Chain, 2), most=1)
    for folder in (tmp_path / "0",):
        program = (folder / "program.json").read_bytes()
        model = onnx.load(folder / "model.onnx", load_external_data=False)
        for data in (program, model.SerializeToString()):
            assert not any(
                word in data for word in (b"/work", b".py", b"site-packages", b"\x80\x04")
            )
        parts = [model, model.graph, *model.graph.node, *model.graph.initializer]
        assert not any(part.doc_string or part.metadata_props for part in parts)
        outside = [t for t in model.graph.initializer if t.external_data]
        assert {e.value for t in outside for e in t.external_data if e.key == "location"} == {
            "weights.safetensors"
        }
        inside = sum(len(t.raw_data) for t in model.graph.initializer)
        assert inside < 0.1 * (folder / "weights.safetensors").stat().st_size


def test_a_program_read_back_is_the_segment() -> None:
    (segment,) = _cut_only(Transformer, most=1).segments
    (x,) = _inputs(Transformer, 3)
    with torch.no_grad():
        torch.testing.assert_close(_read_back(segment.module)(x), segment.module(x), rtol=0, atol=0)


def test_the_outline_names_every_operation_its_segment_and_its_inputs() -> None:
    found = _cut_only(UNet)
    nodes = json.loads(write_outline(found))["nodes"]
    assert [node["name"] for node in nodes if node["segment"] is None] == ["x"]
    assert {node["segment"] for node in nodes} == {None, *range(len(found.segments))}
    assert sum(node["macs"] for node in nodes) == sum(s.macs for s in found.segments)
    known = set()
    for node in nodes:
        assert set(node["inputs"]) <= known
        known.add(node["name"])


class Undecided(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


class Counts(Residual):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), 3


class OneForAll(Residual):
    """Its output is one number for the whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sum()


class BatchLast(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).t()


class Skipping(Residual):
    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.answer((x * self.block_1(x)).mean((2, 3)))


class FixedBatch(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(2, 5)


class Noise(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.rand_like(x))


class Chooses(Residual):
    def forward(self, x: Tensor) -> Tensor:
        kept = x[x > 0.5]
        return super().forward(x) + kept.sum()


class Branching(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda x: x.relu(), lambda x: x.neg(), (x,)).mean((2, 3))


class NoTensor(Residual):
    def forward(self, x: Tensor) -> Any:
        return {"answer": 3}


class Foreign(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(x.numpy() * 2))


X = torch.rand(2, 3, 8, 8)
HERE = r"test_cutting\.py:\d+"


@pytest.mark.parametrize(
    ("kind", "inputs", "after", "said"),
    [
        (Undecided, [X], (), rf"values of its input at .*{HERE} \(.*if x.sum\(\) > 0"),
        (FixedBatch, [X], (), rf"one batch size only at .*{HERE} \(.*view\(2, 5\)"),
        (Noise, [X], (), rf"aten.rand_like.* draws random numbers at .*{HERE}"),
        (Foreign, [X], (), rf"{HERE} \(.*numpy"),
        (Branching, [X], (), "control flow over tensors"),
        (Residual, [X], ("block_9",), "block_9"),
        (Residual, [X], ("answer",), "no cut can follow"),
        (NoTensor, [X], (), "returns no tensor"),
        (OneForAll, [X], (), rf"batch as its first dimension alone at .*{HERE}"),
        (BatchLast, [X], (), "batch"),
        (Residual, [X, X[:1]], (), "batch"),
        (Residual, [X[:0]], (), "batch"),
        (Residual, [torch.tensor(1.0)], (), "batch"),
        (Residual, [], (), "batch"),
        (Residual, [X[:, :2]], (), "cannot be captured"),
    ],
)
def test_what_cannot_be_cut_is_said_in_one_sentence(
    kind: type[nn.Module],
    inputs: list[Tensor],
    after: tuple[str, ...],
    said: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CaptureError, match=said) as caught:
        cut_model(_build(kind), inputs, after, 3)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert capfd.readouterr() == ("", "")


def test_what_is_chosen_by_value_has_no_fixed_size_and_stays_on_one_side() -> None:
    found = cut_model(_build(Chooses), [X])
    runs = [_as_run(segment.module) for segment in found.segments]
    assert worst_difference(_build(Chooses), found, runs, [X]) < 1e-4


def test_numbers_among_the_outputs_are_left_out() -> None:
    class Counts(Residual):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x), 3

    found = cut_model(_build(Counts), [X])
    assert [spec.name for spec in found.boundaries[-1]] == ["output_0"]


def test_arithmetic_on_the_batch_size_is_part_of_a_program() -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(x.size(0) * 2, -1).sum(1).reshape(x.size(0), 2)

    (segment,) = cut_model(Halves(), [X], most=1).segments
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(_read_back(segment.module)(x)[0], Halves()(x))


def test_an_operation_outside_aten_is_named() -> None:
    class Outside(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ops.offramp_tests.twice(x)

    with torch.library._scoped_library("offramp_tests", "DEF") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x * 2, "CompositeExplicitAutograd")
        (segment,) = cut_model(Outside(), [X], most=1).segments
        with pytest.raises(CaptureError, match=r"offramp_tests\.twice.* is not an ATen operation"):
            _program(segment.module)
