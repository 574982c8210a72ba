"""One test for every backend: the same programs, the same answers, the same refusals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp import backends
from offramp.backends.onnx_join import join_models
from offramp.errors import BundleError, ConfigError

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

INSTALLED = [backend.name for backend in backends.installed()]
QUICK = [backend.name for backend in backends.installed() if backend.ready_at_once]
Load = Callable[[str, Sequence[str]], backends.Run]


class Split(torch.nn.Module):
    """One tensor in, three out: one of them the input itself, one of another dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(6)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.norm(x), (x * 100).to(torch.int32), x


class Cross(torch.nn.Module):
    """Three tensors in, two out, in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(6, 4)

    def forward(self, normed, whole, x):  # type: ignore[no-untyped-def]
        return whole.to(torch.float32) / 100, self.linear(normed + x)


class Join(torch.nn.Module):
    """Two tensors in, one out; the batch size itself is part of the reckoning."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.linspace(-1, 1, 40))

    def forward(self, rounded, y):  # type: ignore[no-untyped-def]
        flat = torch.cat([rounded.reshape(y.shape[0], -1), y.flatten(1)], dim=1)
        return torch.relu(flat[:, :40] + self.bias).sum(1, keepdim=True)


PARTS = (Split, Cross, Join)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, one_registry: None) -> Path:
    """The three modules as neighbouring segments, written for every backend."""
    from offramp.capture.export import export
    from offramp.capture.exporters import export_segment
    from offramp.capture.graph import read_program

    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("segments")
    values = [torch.randn(2, 5, 6)]
    for at, kind in enumerate(PARTS):
        module = read_program(export(kind(), values)).module
        exported = export_segment(module, values, f"{at:02d}")
        assert exported.skipped == {}
        (home / f"{at:02d}").mkdir()
        for name, data in exported.files.items():
            (home / name).write_bytes(data)
        with torch.no_grad():
            values = list(module(*values))
    return home


@pytest.fixture(scope="module")
def load(programs: Path) -> Load:
    loaded: dict[tuple[str, ...], backends.Run] = {}

    def once(name: str, folders: Sequence[str]) -> backends.Run:
        key = (name, *folders)
        if key not in loaded:
            loaded[key] = backends.get(name).load([programs / f for f in folders], 1)
        return loaded[key]

    return once


def _model(x: np.ndarray) -> np.ndarray:
    torch.manual_seed(0)
    values = (torch.from_numpy(x.copy()),)
    torch.randn(2, 5, 6)
    with torch.no_grad():
        for kind in PARTS:
            made = kind()(*values)
            values = made if isinstance(made, tuple) else (made,)
    return values[0].numpy()


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_joined_segments_give_what_the_model_gives(name: str, batch: int, load: Load) -> None:
    x = np.random.default_rng(batch).normal(size=(batch, 5, 6)).astype(np.float32)
    (found,) = load(name, ["00", "01", "02"])([x])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("runs", [("00", "01", "02"), ("00", "01 02"), ("00 01", "02")])
def test_segments_one_after_the_other_give_the_same(
    name: str, runs: Sequence[str], load: Load
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    values = [x]
    for folders in runs:
        values = load(name, folders.split())(values)
    np.testing.assert_allclose(values[0], _model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_several_tensors_come_out_in_order(name: str, load: Load) -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    normed, whole, same = load(name, ["00"])([x])
    assert (normed.dtype, whole.dtype, same.dtype) == (np.float32, np.int32, np.float32)
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(whole, (x * 100).astype(np.int32))
    np.testing.assert_allclose(normed.mean(-1), 0, atol=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_any_batch_and_layout_is_taken_and_nothing_is_changed(name: str, load: Load) -> None:
    run = load(name, ["00"])
    whole = np.random.default_rng(0).normal(size=(5, 5, 6)).astype(np.float32)
    frozen = whole.copy()
    frozen.flags.writeable = False
    swapped = whole.transpose(0, 2, 1).copy().transpose(0, 2, 1)
    for array in (whole, whole[:1], whole[::2], whole[::-1], swapped, frozen):
        before = array.copy()
        _, _, found = run([array])
        np.testing.assert_array_equal(found, before)
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", INSTALLED)
def test_a_folder_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    engine = backends.get(name)
    folder = tmp_path / "00"
    with pytest.raises(BundleError, match="00"):
        engine.load([folder], 1)
    folder.mkdir()
    for path in engine.files("00"):
        (tmp_path / path).write_bytes(b"garbage")
    for folders in ([folder], [folder, folder]):
        with pytest.raises(BundleError) as caught:
            engine.load(folders, 1)
        assert "\n" not in str(caught.value)


def test_onnx_weights_are_not_read_from_outside_the_bundle(tmp_path: Path) -> None:
    for at in range(2):
        (tmp_path / "bundle" / str(at)).mkdir(parents=True)
        (tmp_path / "bundle" / str(at) / "model.onnx").write_bytes(_leaking("../../secret.bin"))
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    folders = [tmp_path / "bundle" / "0", tmp_path / "bundle" / "1"]
    for chosen in (folders[:1], folders):
        with pytest.raises(BundleError) as caught:
            backends.get("onnxruntime").load(chosen, 1)
        assert "\n" not in str(caught.value)


def _leaking(location: str) -> bytes:
    import onnx

    tensor = onnx.numpy_helper.from_array(np.zeros(16, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    ends = [
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 16])]
        for name in "xy"
    ]
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "leak", *ends, [tensor])
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    return bytes(model.SerializeToString())


def test_values_of_inner_graphs_are_renamed_with_the_others() -> None:
    """The branches of an If read values of the graph around it."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    def value(name: str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, ["n"])

    branches = {
        f"{word}_branch": helper.make_graph(
            [helper.make_node(kind, ["x", "x"], ["z"])], word, [], [value("z")]
        )
        for word, kind in (("then", "Add"), ("else", "Mul"))
    }
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], **branches),
    ]
    zero = onnx.numpy_helper.from_array(np.float32(0), "zero")
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], [zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    data = model.SerializeToString()
    joined = join_models([data, data], ["0", "1"])
    onnx.checker.check_model(onnx.load_from_string(joined))
    session = onnxruntime.InferenceSession(joined, providers=["CPUExecutionProvider"])
    for x, expected in (([1, 2], [4, 8]), ([-1, -3], [2, 18])):
        ((found),) = session.run(None, {"0/x": np.array(x, np.float32)})
        assert found.tolist() == expected


@given(st.binary(max_size=64))
def test_whatever_is_joined_is_joined_or_refused(data: bytes) -> None:
    for garbage in (data, b"\x3a" + bytes([len(data)]) + data):
        with contextlib.suppress(BundleError):
            join_models([garbage, garbage], ["0", "1"])


def test_models_whose_ends_do_not_meet_are_refused(programs: Path) -> None:
    models = [(programs / at / "model.onnx").read_bytes() for at in ("00", "02")]
    with pytest.raises(BundleError, match="gives 3 tensors to one that takes 2"):
        join_models(models, ["00", "02"])


def test_every_backend_is_registered() -> None:
    modules = {p.stem for p in Path(backends.__file__).parent.glob("*_backend.py")}
    assert modules == {f"{name}_backend" for name in backends.BACKENDS}
    for name, backend in backends.BACKENDS.items():
        assert backend.name == name
        assert backend.files("s")[0] == f"s/{backend.file}"
        if backend.missing() is None:
            assert backends.get(name) is backend
    assert {"onnxruntime", "torch"} <= set(INSTALLED)


def test_one_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="unknown backend 'unheard'"):
        backends.get("unheard")
    monkeypatch.setattr(backends.BACKENDS["torch"], "missing", lambda: "torch")
    with pytest.raises(ConfigError, match="backend 'torch' needs the package 'torch'"):
        backends.get("torch")
    assert "torch" not in [backend.name for backend in backends.installed()]
