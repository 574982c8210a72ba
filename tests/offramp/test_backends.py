"""One test for every backend: the same programs, the same answers, the same refusals."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp import backends
from offramp.backends import Chain, Link, torch_backend, torch_cuda_backend
from offramp.backends.onnx_join import join_models
from offramp.errors import BundleError, ConfigError

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
torch_program = pytest.importorskip("offramp.backends.torch_program")

INSTALLED = [backend.name for backend in backends.installed()]
ENTRIES = [
    pytest.param(name, marks=pytest.mark.skipif(bool(lacks), reason=f"{name} needs {lacks}"))
    for name, lacks in ((one.name, one.missing()) for one in backends.BACKENDS.values())
]
QUICK = [backend.name for backend in backends.installed() if backend.ready_at_once]
Load = Callable[..., backends.Run]
TWICE = Chain((Link(Path("a"), ("x",), ("y",)), Link(Path("b"), ("y",), ("z",))), ("z",))


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

    def forward(self, whole, normed, x):  # type: ignore[no-untyped-def]
        return whole.to(torch.float32) / 100, self.linear(normed + x)


class Join(torch.nn.Module):
    """Three tensors in, one out; the batch size itself is part of the reckoning."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.linspace(-1, 1, 40))

    def forward(self, rounded, y, same):  # type: ignore[no-untyped-def]
        flat = torch.cat([rounded.reshape(y.shape[0], -1), y.flatten(1)], dim=1)
        return (
            torch.relu(flat[:, :40] + self.bias).sum(1, keepdim=True) + same.mean((1, 2))[:, None]
        )


PARTS: tuple[tuple[type[torch.nn.Module], tuple[str, ...], tuple[str, ...]], ...] = (
    (Split, ("x",), ("normed", "whole", "same")),
    (Cross, ("whole", "normed", "x"), ("rounded", "y")),
    (Join, ("rounded", "y", "same"), ("sum",)),
)
"""The programs, and the values they take and return: x goes to two, same goes by the second."""


def _modules() -> list[torch.nn.Module]:
    torch.manual_seed(0)
    return [kind() for kind, _, _ in PARTS]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, exported_once: None) -> Path:
    """The three modules as neighbouring segments, written for every backend."""
    import onnx

    from offramp.capture.exporters import export_segment
    from offramp.capture.quantisation import quantise_program

    home = tmp_path_factory.mktemp("segments")
    values = {"x": torch.from_numpy(_x(200))}
    for at, ((_, reads, makes), module) in enumerate(zip(PARTS, _modules(), strict=True)):
        given = [values[name] for name in reads]
        graph = _graph(module, given)
        exported = export_segment(graph, given, f"{at:02d}")
        assert exported.skipped == {}
        (home / f"{at:02d}").mkdir()
        for path, data in exported.files.items():
            (home / path).write_bytes(data)
        model = onnx.load(str(home / f"{at:02d}" / "model.onnx"))
        quantised = quantise_program(model, [tensor.numpy() for tensor in given], {})
        (home / f"{at:02d}" / "int8.onnx").write_bytes(quantised)
        with torch.no_grad():
            values.update(zip(makes, graph(*given), strict=True))
    return home


def _graph(module: torch.nn.Module, given: list[torch.Tensor]) -> torch.fx.GraphModule:
    """Return a module's graph with its weights inside, as a segment has them."""
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in given)
    program = torch.export.export(module, tuple(given), dynamic_shapes=shapes)
    program = program.run_decompositions({})
    root, graph = torch.nn.Module(), torch.fx.Graph()
    places = program.graph_signature.inputs_to_parameters
    made: dict[torch.fx.Node, torch.fx.Node] = {}
    for node in program.graph.nodes:
        if node.name in places:
            root.register_buffer(node.name, program.state_dict[places[node.name]].detach())
            made[node] = graph.get_attr(node.name)
        else:
            made[node] = graph.node_copy(node, made.__getitem__)
    return torch.fx.GraphModule(root, graph)


def _chain(home: Path, first: int, stop: int, makes: tuple[str, ...] = ()) -> Chain:
    links = [Link(home / f"{at:02d}", *PARTS[at][1:]) for at in range(first, stop)]
    return Chain(tuple(links), makes or links[-1].makes)


@pytest.fixture(scope="module")
def load(programs: Path) -> Load:
    @cache
    def once(name: str, first: int, stop: int, *makes: str) -> backends.Run:
        return backends.get(name).load(_chain(programs, first, stop, makes), 1)

    return once


def _model(x: np.ndarray) -> np.ndarray:
    values = {"x": torch.from_numpy(x.copy())}
    with torch.no_grad():
        for (_, reads, makes), module in zip(PARTS, _modules(), strict=True):
            made = module(*(values[name] for name in reads))
            values.update(zip(makes, made if isinstance(made, tuple) else (made,), strict=True))
    return np.asarray(values["sum"].numpy())


def _x(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).normal(size=(batch, 5, 6)).astype(np.float32)


def _near(name: str) -> dict[str, float]:
    """Return how near a backend is held to the model."""
    return {"rtol": 1e-5, "atol": 1e-5} if backends.get(name).exact else {"rtol": 0.02, "atol": 0.5}


def _step(name: str) -> float:
    """Return by how much a backend may change a tensor that it only hands on."""
    return 0.0 if backends.get(name).exact else float(np.ptp(_x(200))) / 255


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_chain_gives_what_the_model_gives(name: str, batch: int, load: Load) -> None:
    (found,) = load(name, 0, 3)([_x(batch)])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _model(_x(batch)), **_near(name))


@pytest.mark.parametrize("name", QUICK)
def test_segments_one_after_the_other_give_the_same(name: str, load: Load) -> None:
    x = _x(3)
    normed, whole, same = load(name, 0, 1)([x])
    rounded, y = load(name, 1, 2)([whole, normed, x])
    (alone,) = load(name, 2, 3)([rounded, y, same])
    (last,) = load(name, 1, 3)([whole, normed, x, same])
    same, y, rounded = load(name, 0, 2, "same", "y", "rounded")([x])
    (first,) = load(name, 2, 3)([rounded, y, same])
    for found in (alone, last, first):
        np.testing.assert_allclose(found, _model(x), **_near(name))


def test_a_chain_takes_what_none_of_it_makes() -> None:
    assert _chain(Path(), 0, 3).reads == ("x",)
    assert _chain(Path(), 1, 3).reads == ("whole", "normed", "x", "same")


@pytest.mark.parametrize("name", QUICK)
def test_several_tensors_come_out_in_order(name: str, load: Load) -> None:
    x = _x(3)
    normed, whole, same = load(name, 0, 1)([x])
    assert (normed.dtype, whole.dtype, same.dtype) == (np.float32, np.int32, np.float32)
    step = _step(name)
    np.testing.assert_allclose(same, x, rtol=0, atol=step)
    np.testing.assert_allclose(whole, (x * 100).astype(np.int32), rtol=0, atol=100 * step)
    np.testing.assert_allclose(normed.mean(-1), 0, atol=step + 1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_any_batch_and_layout_is_taken_and_nothing_is_changed(name: str, load: Load) -> None:
    run = load(name, 0, 1)
    whole = _x(5)
    frozen = whole.copy()
    frozen.flags.writeable = False
    swapped = whole.transpose(0, 2, 1).copy().transpose(0, 2, 1)
    for array in (whole, whole[:1], whole[::2], whole[::-1], swapped, frozen):
        before = array.copy()
        _, _, found = run([array])
        np.testing.assert_allclose(found, before, rtol=0, atol=_step(name))
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_folder_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    engine = backends.get(name)
    folder = tmp_path / "broken"
    one = Chain((Link(folder, ("x",), ("y",)),), ("y",))
    two = Chain((*one.links, Link(folder, ("y",), ("z",))), ("z",))
    for chain in (one, two):
        with pytest.raises(BundleError, match="broken"):
            engine.load(chain, 1)
    folder.mkdir()
    for path in engine.files("broken"):
        (tmp_path / path).write_bytes(b"garbage")
    for chain in (one, two):
        with pytest.raises(BundleError) as caught:
            engine.load(chain, 1)
        assert "\n" not in str(caught.value)


def test_onnx_weights_are_not_read_from_outside_the_bundle(tmp_path: Path) -> None:
    for at in range(2):
        (tmp_path / "bundle" / str(at)).mkdir(parents=True)
        (tmp_path / "bundle" / str(at) / "model.onnx").write_bytes(_leaking("../../secret.bin"))
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    links = [Link(tmp_path / "bundle" / str(at), (f"v{at}",), (f"v{at + 1}",)) for at in range(2)]
    for chosen in (Chain((links[0],), ("v1",)), Chain(tuple(links), ("v2",))):
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
    joined = join_models([data, data], TWICE)
    onnx.checker.check_model(onnx.load_from_string(joined))
    session = onnxruntime.InferenceSession(joined, providers=["CPUExecutionProvider"])
    for x, expected in (([1, 2], [4, 8]), ([-1, -3], [2, 18])):
        ((found),) = session.run(None, {"0/x": np.array(x, np.float32)})
        assert found.tolist() == expected


@given(st.binary(max_size=64))
def test_whatever_is_joined_is_joined_or_refused(data: bytes) -> None:
    for garbage in (data, b"\x3a" + bytes([len(data)]) + data):
        with contextlib.suppress(BundleError):
            join_models([garbage, garbage], TWICE)


def test_models_that_take_or_give_other_than_is_said_are_refused(programs: Path) -> None:
    model = (programs / "00" / "model.onnx").read_bytes()
    for reads, makes in ((("x", "y"), ("a", "b", "c")), (("x",), ("a", "b"))):
        with pytest.raises(BundleError, match=r"an ONNX model has . inputs or outputs where"):
            join_models([model], Chain((Link(Path("split"), reads, makes),), makes))


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


@pytest.fixture
def without_cuda(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have `torch_cuda` run on the processor, where nothing is recorded; return the sizes asked."""
    sizes: list[int] = []

    def record(module, zeros):  # type: ignore[no-untyped-def]
        sizes.append(len(zeros[0]))
        given = [tensor.clone() for tensor in zeros]
        made = [tensor.clone() for tensor in module(*given)]
        return torch_cuda_backend._Recording(
            given, lambda: torch_cuda_backend._run(module, given, made), made
        )

    moved = torch_cuda_backend.move
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch_cuda_backend, "move", lambda module, _: moved(module, "cpu"))
    monkeypatch.setattr(torch_cuda_backend, "_record", record)
    monkeypatch.setattr(torch_cuda_backend, "_pinned", torch.zeros_like)
    monkeypatch.setattr(torch_cuda_backend, "_wait", lambda: None)
    return sizes


def test_batches_of_torch_cuda_are_filled_up_to_powers_of_two(
    without_cuda: list[int], programs: Path
) -> None:
    run = backends.BACKENDS["torch_cuda"].load(_chain(programs, 0, 3), 1)
    with ThreadPoolExecutor(4) as threads:
        batches = [1, 2, 3, 4, 5, 8, 1, 3, 5] * 3
        found = list(threads.map(lambda batch: run([_x(batch)])[0], batches))
    for batch, each in zip(batches, found, strict=True):
        np.testing.assert_allclose(each, _model(_x(batch)), rtol=1e-5, atol=1e-5)
    assert sorted(without_cuda) == [1, 2, 4, 8]


def test_everything_that_a_program_makes_is_on_the_device(programs: Path) -> None:
    module = torch_backend.load_programs(_chain(programs, 0, 3))
    (found,) = torch_cuda_backend.move(module, "meta")(torch.empty(2, 5, 6, device="meta"))
    assert (found.device.type, found.shape) == ("meta", (2, 1))
    program = {
        "inputs": ["x"],
        "nodes": [
            {
                "name": "made",
                "op": "aten.arange.default",
                "args": [3],
                "kwargs": {"device": {"device": "cpu"}},
            },
            {
                "name": "sum",
                "op": "aten.add.Tensor",
                "args": [{"node": "x"}, {"node": "made"}],
                "kwargs": {},
            },
        ],
        "outputs": [{"node": "sum"}],
    }
    made = torch_program.build_program(json.dumps(program).encode(), {})
    (found,) = torch_cuda_backend.move(made, "meta")(torch.empty(3, device="meta"))
    assert found.device.type == "meta"


def test_without_a_cuda_device_torch_cuda_says_so(programs: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(ConfigError, match="'torch_cuda' finds no device"):
        backends.BACKENDS["torch_cuda"].load(_chain(programs, 0, 1), 1)
