"""Exporters: what one engine cannot take is skipped with its reason; the others go on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.backends import BACKENDS
from offramp.bundle import open_bundle
from offramp.capture import exporters
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.exporters import EXPORTERS, export_segment
from offramp.capture.exporters.onnx import OnnxExporter
from offramp.errors import BundleError, CaptureError
from offramp.network import Network
from offramp.samples import Samples
from tests.offramp.capture.conftest import Exported, cut_model


@pytest.fixture(autouse=True)
def _exported_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxExporter, "export", inspect.unwrap(OnnxExporter.export))


class Bessel(nn.Module):
    """ATen knows its operation, ONNX does not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.special.bessel_j0(torch.relu(self.first(x))))


class Widened(nn.Module):
    """Computes in float64 inside."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.inner(x.double())
        return inner.float()


def test_an_operation_that_one_engine_lacks_leaves_the_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = Bessel(), tmp_path / "bessel.offramp"
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    lines: list[str] = []
    manifest = compile_model(
        model, None, path, CompileOptions("bessel"), examples=Samples((x,)), report=lines.append
    )
    (skipping,) = [spec for spec in manifest.segments if spec.skipped]
    assert set(skipping.skipped) == {"onnxruntime"}
    assert "bessel_j0" in skipping.skipped["onnxruntime"]
    assert any("onnxruntime" in line and "bessel_j0" in line for line in lines)
    assert {proof.backend for proof in manifest.proofs} == {"torch"}

    bundle = open_bundle(path)
    network = Network(bundle)
    assert network.backend == "torch"
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(network.run(0, network.depth, [x])[0], expected, atol=1e-6)
    with pytest.raises(BundleError, match=r"'onnxruntime' cannot run .*bessel_j0"):
        Network(bundle, "onnxruntime")


def test_what_an_engine_cannot_run_is_left_out_with_its_reason() -> None:
    """ONNX has convolutions of float64, ONNX Runtime does not."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3).double(), nn.ReLU())
    (segment,) = cut_model(Widened(model), [torch.ones(2, 1, 4, 4)], most=1).segments
    exported = export_segment(segment.module, [torch.ones(2, 1, 4, 4)], "segments/00")
    assert set(exported.skipped) == {"onnxruntime"}
    assert "does not run there" in exported.skipped["onnxruntime"]
    assert "Conv" in exported.skipped["onnxruntime"]
    assert sorted(exported.files) == ["segments/00/program.json", "segments/00/weights.safetensors"]


def test_weights_of_any_type_are_exported(cut: Callable[..., Exported]) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 40).bfloat16()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.to(torch.bfloat16)).float()

    x = torch.rand(2, 4)
    assert cut(Half(), x, most=1).worst_difference("torch", [x]) < 1e-6


def test_an_operation_of_the_users_own_is_named_with_its_line() -> None:
    @torch.library.custom_op("offramp_test::twice", mutates_args=())
    def twice(x: Tensor) -> Tensor:
        return x * 2

    @twice.register_fake
    def _(x: Tensor) -> Tensor:
        return torch.empty_like(x)

    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(twice(x))

    (segment,) = cut_model(Own(), [torch.ones(2, 4)], most=1).segments
    with pytest.raises(CaptureError, match=r"twice.* not an ATen operation at .*exporters.py:\d+"):
        export_segment(segment.module, [torch.ones(2, 4)], "segments/00")


def test_a_segment_that_no_engine_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (segment,) = cut_model(Bessel(), [torch.ones(2, 4)], most=1).segments
    monkeypatch.setattr(exporters, "EXPORTERS", {"model.onnx": EXPORTERS["model.onnx"]})
    with pytest.raises(CaptureError, match=r"no backend can run segments/00 \(.*bessel_j0"):
        export_segment(segment.module, [torch.ones(2, 4)], "segments/00")


def test_a_padding_before_a_maximum_stays_a_padding_with_zeros(
    cut: Callable[..., Exported],
) -> None:
    class Pads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.max_pool2d(nn.functional.pad(x, (0, 1, 0, 1)), 3, 2)
            return nn.functional.max_pool2d(nn.functional.pad(x, (1, 0), value=-9.0), 2, 1)

    x = -1 - torch.rand(2, 3, 6, 6)
    assert cut(Pads(), x, most=1).worst_difference("onnxruntime", [x]) < 1e-6


def test_a_number_minus_whole_numbers_is_a_fraction(cut: Callable[..., Exported]) -> None:
    class Inverts(nn.Module):
        def forward(self, mask: Tensor) -> Tensor:
            return torch.cumsum((0.5 - mask) * (3 - mask), 1)

    mask = torch.arange(8).reshape(2, 4)
    assert cut(Inverts(), mask, most=1).worst_difference("onnxruntime", [mask]) == 0


def test_exports_share_one_table_of_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.onnx._internal.exporter import _registration

    (segment,) = cut_model(nn.Linear(4, 3).eval(), [torch.ones(2, 4)], most=1).segments
    export_segment(segment.module, [torch.ones(2, 4)], "segments/00")
    before = _registration.ONNXRegistry.from_torchlib
    monkeypatch.setattr(_registration.onnxscript_apis, "get_torchlib_ops", None)
    exported = export_segment(segment.module, [torch.ones(2, 4)], "segments/00")
    assert exported.skipped == {}
    assert _registration.ONNXRegistry.from_torchlib == before


def test_an_export_looks_up_the_operations_of_torch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._export import utils

    look_up, looked = utils._materialize_cpp_cia_ops, list[None]()

    def counted() -> None:
        looked.append(look_up())

    monkeypatch.setattr(utils, "_materialize_cpp_cia_ops", counted)
    (segment,) = cut_model(nn.Linear(4, 3).eval(), [torch.ones(2, 4)], most=1).segments
    assert len(looked) == 1
    assert export_segment(segment.module, [torch.ones(2, 4)], "segments/00").skipped == {}
    assert len(looked) == 2
    assert utils._materialize_cpp_cia_ops is counted


def test_every_exporter_is_registered_and_read_by_a_backend() -> None:
    parts = Path(exporters.__file__).parent.glob("*.py")
    modules = {p.stem for p in parts if "(Exporter):" in p.read_text()}
    assert modules == {type(one).__module__.rpartition(".")[2] for one in EXPORTERS.values()}
    assert {name for name, one in EXPORTERS.items() if one.file == name} == set(EXPORTERS)
    assert {backend.file for backend in BACKENDS.values() if backend.exact} == set(EXPORTERS)


def test_what_exports_know_of_operations_changes_nothing_and_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch.export import exported_program

    x, before = torch.ones(2, 4), dict(vars(exported_program))
    (segment,) = cut_model(nn.Linear(4, 3).eval(), [x], most=1).segments
    files = export_segment(segment.module, [x], "segments/00").files
    assert dict(vars(exported_program)) == before
    monkeypatch.setattr("offramp.capture.exporters.onnx.operations_known", nullcontext)
    assert export_segment(segment.module, [x], "segments/00").files == files
