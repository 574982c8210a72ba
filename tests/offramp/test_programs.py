"""Programs from a stranger: nothing runs but functional ATen operations."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from offramp.backends.torch_program import build_program
from offramp.errors import BundleError

WEIGHTS = {"scale": torch.tensor([2.0])}


def _program(**changes: Any) -> dict[str, Any]:
    node = {
        "name": "product",
        "op": "aten.mul.Tensor",
        "args": [{"node": "x"}, {"weight": "scale"}],
        "kwargs": {},
    }
    return {"inputs": ["x"], "nodes": [{**node, **changes}], "outputs": [{"node": "product"}]}


def _build(plain: Any, weights: dict[str, torch.Tensor] = WEIGHTS) -> Any:
    return build_program(json.dumps(plain).encode(), weights)


def test_a_sound_program_runs() -> None:
    (product,) = _build(_program())(torch.tensor([3.0]))
    assert product.tolist() == [6.0]


HOSTILE: dict[str, Any] = {
    "reads a file": _program(op="aten.from_file.default", args=["/etc/passwd"]),
    "writes in place": _program(op="aten.add_.Tensor"),
    "writes to out": _program(op="aten.add.out"),
    "other namespace": _program(op="prims.mul.default"),
    "python": _program(op="builtins.eval"),
    "attribute of a packet": _program(op="aten.mul.__class__"),
    "attribute of the namespace": _program(op="aten.__class__.mro"),
    "unheard operation": _program(op="aten.unheard.default"),
    "operation no text": _program(op=3),
    "calls torch.load": _program(args=[{"torch": "load"}]),
    "names a module": _program(args=[{"torch": "os"}]),
    "constant no text": _program(args=[{"torch": 3}]),
    "unheard device": _program(args=[{"device": "unheard"}]),
    "float too large": _program(args=[{"float": "0x1p99999"}]),
    "float no number": _program(args=[{"float": "one"}]),
    "unknown node": _program(args=[{"node": "y"}]),
    "own result": _program(args=[{"node": "product"}]),
    "unknown weight": _program(args=[{"weight": "bias"}]),
    "unknown kind": _program(args=[{"call": "x"}]),
    "two kinds": _program(args=[{"node": "x", "weight": "scale"}]),
    "no kind": _program(args=[{}]),
    "reference no text": _program(args=[{"weight": ["scale"]}]),
    "arguments no list": _program(args=3),
    "keywords no mapping": _program(kwargs=[1]),
    "keyword unknown": _program(kwargs={"unheard": 1}),
    "keyword to getitem": _program(op="getitem", kwargs={"self": 1}),
    "keyword is code": _program(kwargs={"other=print(1), self": 1}),
    "outputs a number": {**_program(), "outputs": [3]},
    "outputs no list": {**_program(), "outputs": 3},
    "no inputs": {"nodes": [], "outputs": []},
    "nodes no list": {**_program(), "nodes": 3},
    "a list": [],
    "a number": 3,
    "nothing": None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused(name: str) -> None:
    with pytest.raises(BundleError) as caught:
        _build(HOSTILE[name])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"{", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        build_program(data, {})


INJECTED = "__import__('builtins').print('injected')"
NAMES: dict[str, tuple[dict[str, Any], dict[str, torch.Tensor]]] = {
    "input": (
        {"inputs": [f"x={INJECTED}"], "nodes": [], "outputs": [{"node": f"x={INJECTED}"}]},
        {},
    ),
    "node": (
        {
            **_program(name=f"a={INJECTED};b"),
            "outputs": [{"node": f"a={INJECTED};b"}],
        },
        WEIGHTS,
    ),
    "weight": (
        {"inputs": ["x"], "nodes": [], "outputs": [{"weight": 'x", print("injected"))or("'}]},
        {'x", print("injected"))or("': torch.ones(1)},
    ),
    "text": (
        _program(op="aten.div.Tensor_mode", kwargs={"rounding_mode": f'"+{INJECTED}+"'}),
        WEIGHTS,
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_never_become_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A graph is turned into Python source: a name in it would run as the program is loaded."""
    module = _build(*NAMES[name])
    assert capsys.readouterr().out == ""
    assert INJECTED not in module.code.replace(f"'\"+{INJECTED}+\"'", "") or name == "text"
