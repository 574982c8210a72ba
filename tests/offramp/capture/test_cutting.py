"""Any cut of a model, on any backend and batch size, gives what the whole model gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from offramp.backends.torch_program import build_program
from offramp.capture.cutting import cut_graph
from offramp.capture.export import capture
from offramp.capture.exporters import weights_of
from offramp.capture.exporters.program import ProgramExporter
from offramp.errors import CaptureError


def write_program(module: fx.GraphModule) -> tuple[bytes, dict[str, Tensor]]:
    return ProgramExporter().export(module, [], b""), weights_of(module)


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


KINDS = (Chain, Residual, Shared, Branches, Depthwise, Transformer, Bytes, NamesThatMeet)


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


def _input(kind: type[nn.Module], batch: int) -> Tensor:
    dice = torch.Generator().manual_seed(batch)
    if kind is Bytes:
        return torch.randint(0, 256, (batch, 8, 8, 3), generator=dice, dtype=torch.uint8)
    return torch.rand(batch, 3, 8, 8, generator=dice)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_in_segments_a_model_gives_the_same(kind: type[nn.Module], cut: Callable[..., Any]) -> None:
    few = 2 if kind in (Chain, Transformer) else 1  # an export takes a second or more
    found = cut(_build(kind), _input(kind, 2), max_segments=few)
    assert len(found.segments) == few
    for backend in ("onnxruntime", "torch"):
        for batch in (1, 3):
            assert found.worst_difference(backend, [_input(kind, batch)]) < 2e-5, (backend, batch)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_at_every_cut_a_model_gives_the_same(kind: type[nn.Module]) -> None:
    model = _build(kind)
    segments, _ = _cut_only(kind)
    assert len(segments) > 1 or kind is NamesThatMeet
    programs = [build_program(*write_program(segment.module)) for segment in segments]
    for batch in (1, 3):
        values = [_input(kind, batch)]
        with torch.no_grad():
            for segment, program in zip(segments, programs, strict=True):
                assert all(len(value) == batch for value in values)
                for spec, value in zip(segment.inputs, values, strict=True):
                    spec.check(value[0].numpy())
                values = program(*values)
            torch.testing.assert_close(values[0], model(_input(kind, batch)), rtol=0, atol=2e-5)


@cache
def _captured(kind: type[nn.Module]) -> ExportedProgram:
    return capture(_build(kind), [_input(kind, 2)])


def _cut_only(kind: type[nn.Module], after: tuple[str, ...] = (), most: int = 64) -> Any:
    return cut_graph(_captured(kind), after, most)


def test_work_is_positive_and_does_not_depend_on_the_cuts() -> None:
    (whole,), _ = _cut_only(Residual, most=1)
    segments, _ = _cut_only(Residual)
    assert whole.macs == 64 * (3 * 4 + 2 * 4 * 4) * 9 + 4 * 5
    assert sum(s.macs for s in segments) == whole.macs
    assert all(s.macs > 0 for s in segments)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 64])
def test_thinning_keeps_within_the_limit(most: int) -> None:
    segments, _ = _cut_only(Chain, most=most)
    assert len(segments) <= most
    for before, after in itertools.pairwise(segments):
        assert before.outputs == after.inputs


def test_named_modules_are_cut_after_whatever_the_limit() -> None:
    segments, places = _cut_only(Residual, ("block_1", "block_2"), 1)
    assert places == {"block_1": 1, "block_2": 2}
    assert [s.outputs[0].shape for s in segments] == [(4, 8, 8), (4, 8, 8), (5,)]
    model, x = _build(Residual), _input(Residual, 2)
    with torch.no_grad():
        (first,) = segments[0].module(x)
        (second,) = segments[1].module(first)
        torch.testing.assert_close(first, model.block_1(model.stem(x)))
        torch.testing.assert_close(second, model.block_2(model.block_1(model.stem(x))))


def test_a_module_that_runs_twice_is_cut_after_its_last_run() -> None:
    segments, places = _cut_only(Shared, ("twice",))
    model, x = _build(Shared), _input(Shared, 2)
    values = [x]
    with torch.no_grad():
        for segment in segments[: places["twice"]]:
            values = segment.module(*values)
        once = torch.relu(model.stem(x)) * model.scale
        expected = model.twice(torch.relu(model.twice(once)) * model.scale)
    torch.testing.assert_close(values[0], expected)


@pytest.mark.parametrize("kind", [Residual, Depthwise])
def test_normalisation_disappears_into_convolutions(kind: type[nn.Module]) -> None:
    segments, _ = _cut_only(kind)
    for segment in segments:
        program, weights = write_program(segment.module)
        assert b"batch_norm" not in program
        assert not any("running" in name for name in weights)


def test_a_normalisation_without_a_convolution_before_it_stays() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 5)).eval()
    (segment,), _ = cut_graph(capture(model, [torch.rand(2, 3, 8, 8)]), (), 1)
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(segment.module(x)[0], model(x))


def test_weights_used_twice_are_stored_once_a_segment() -> None:
    (whole,), _ = _cut_only(Shared, most=1)
    _, weights = write_program(whole.module)
    assert sum(w.numel() for w in weights.values()) == sum(
        p.numel() for p in _build(Shared).state_dict().values()
    )


def test_programs_and_onnx_hold_no_pickle_path_or_second_weights(
    cut: Callable[..., Any], tmp_path: Any
) -> None:
    import onnx

    cut(_build(Chain), _input(Chain, 2), max_segments=1)
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
    (segment,), _ = _cut_only(Transformer, most=1)
    x = _input(Transformer, 3)
    with torch.no_grad():
        torch.testing.assert_close(
            build_program(*write_program(segment.module))(x), segment.module(x), rtol=0, atol=0
        )


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


X = torch.rand(2, 3, 8, 8)


@pytest.mark.parametrize(
    ("kind", "inputs", "after", "said"),
    [
        (Undecided, [X], (), "cannot be captured"),
        (Residual, [X], ("block_9",), "block_9"),
        (Skipping, [X], ("block_1",), "more than one tensor crosses"),
        (Residual, [X], ("answer",), "answer"),
        (Counts, [X], (), "must return tensors"),
        (OneForAll, [X], (), "batch"),
        (BatchLast, [X], (), "batch"),
        (Residual, [X, X[:1]], (), "batch"),
        (Residual, [X[:0]], (), "batch"),
        (Residual, [torch.tensor(1.0)], (), "batch"),
        (Residual, [], (), "batch"),
        (Residual, [X[:, :2]], (), "cannot be captured"),
    ],
)
def test_what_cannot_be_cut_is_said_in_one_sentence(
    kind: type[nn.Module], inputs: list[Tensor], after: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CaptureError, match=said) as caught:
        cut_graph(capture(_build(kind), inputs), after, 3)
    assert "\n" not in str(caught.value)


def test_arithmetic_on_the_batch_size_is_part_of_a_program() -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(x.size(0) * 2, -1).sum(1).reshape(x.size(0), 2)

    (segment,), _ = cut_graph(capture(Halves(), [X]), (), 1)
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(build_program(*write_program(segment.module))(x)[0], Halves()(x))


def test_an_operation_outside_aten_is_named() -> None:
    class Outside(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ops.offramp_tests.twice(x)

    with torch.library._scoped_library("offramp_tests", "DEF") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x * 2, "CompositeExplicitAutograd")
        (segment,), _ = cut_graph(capture(Outside(), [X]), (), 1)
        with pytest.raises(CaptureError, match=r"offramp_tests\.twice.* is not an ATen operation"):
            write_program(segment.module)
