"""Drawings: valid SVG that marks every cut, tensor and exit, whatever the names are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.bundle import Boundary, Bundle, ExitSpec, Manifest, SegmentSpec
from offramp.bundle.command import inspect
from offramp.drawing import draw_bundle
from offramp.drawing import rows as rows_module
from offramp.drawing.blocks import collapse
from offramp.drawing.draw import draw_graph
from offramp.drawing.outline import Operation, outline_of, outline_segments, read_outline
from offramp.drawing.rows import arrange_rows
from offramp.errors import BundleError, ConfigError
from offramp.tensors import TensorSpec

NAMES = st.text(st.characters(categories="LNPS"), min_size=1, max_size=200)
SVG = "{http://www.w3.org/2000/svg}"


def manifest(crossing: list[str], name: str = "drawn", exit_name: str = "early") -> Manifest:
    """Two segments, all of the middle boundary's tensors of 1,000 floats."""
    middle = tuple(TensorSpec(tensor, "float32", (1000,)) for tensor in crossing)
    return Manifest(
        name=name,
        boundaries=(
            Boundary(tensors=(TensorSpec("x", "uint8", (96, 96, 3)),)),
            Boundary(tensors=middle),
            Boundary(tensors=(TensorSpec("y", "float32", (10,)),)),
        ),
        segments=(
            SegmentSpec(folder="s0", macs=5, reads=("x",), makes=tuple(crossing)),
            SegmentSpec(folder="s1", macs=2_500_000, reads=tuple(crossing), makes=("y",)),
        ),
        exits=(ExitSpec(name=exit_name, boundary=1, tensor=crossing[0], folder="e", macs=7),),
        files={},
    )


def outline(crossing: list[str]) -> list[Operation]:
    made = [Operation(name=c, op="conv2d.default", segment=0, inputs=("x",)) for c in crossing]
    last = Operation(name="y", op="cat.default", segment=1, inputs=tuple(crossing), macs=9)
    return [Operation(name="x", op="input"), *made, last]


def elements(svg: str, tag: str) -> list[Any]:
    return list(ElementTree.fromstring(svg).iter(SVG + tag))


def words(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def test_every_cut_tensor_and_exit_is_there() -> None:
    svg = draw_graph(outline(["left", "right"]), manifest(["left", "right"]), "ab" * 32)
    said = words(svg)
    for text in (
        "drawn", "cut 0", "cut 1", "cut 2", "segment 0", "segment 1", "x", "conv2d", "cat",
        "left: float32 1000, 4 kB", "right: float32 1000, 4 kB", "x: uint8 96x96x3, 27.6 kB",
        "y: float32 10, 40 B", "8 kB", "exit early", "7 MAC", "2.5 MMAC",
    ):  # fmt: skip
        assert text in said
    dots = {dot[0].text: dot.get("fill") for dot in elements(svg, "circle")}
    assert dots == {"x": "#0072B2", "left": "#0072B2", "right": "#D55E00", "y": "#0072B2"}


def test_a_long_boundary_is_listed_in_part() -> None:
    crossing = [f"t{at}" for at in range(11)]
    said = words(draw_graph(outline(crossing), manifest(crossing), "ab" * 32))
    assert sum(text.endswith("float32 1000, 4 kB") for text in said) == 8
    assert "and 3 more" in said


@settings(deadline=None, max_examples=50)
@given(st.text(), NAMES, NAMES)
def test_whatever_the_names_are_the_picture_is_sound(
    tensor: str, model: str, exit_name: str
) -> None:
    tensor = f"t{tensor}"
    svg = draw_graph(outline([tensor]), manifest([tensor], model, exit_name), "ab" * 32)
    ElementTree.fromstring(svg.encode())


def test_names_are_no_markup() -> None:
    evil = '<script>alert("1")</script>'
    svg = draw_graph(outline([evil]), manifest([evil], evil, evil), "ab" * 32)
    assert "<script" not in svg
    assert elements(svg, "script") == []


def test_a_graph_that_is_too_large_is_drawn_by_its_segments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crossing = [f"t{at}" for at in range(40)]
    monkeypatch.setattr(rows_module, "MAX_PLACES", 20)
    said = words(draw_graph(outline(crossing), manifest(crossing), "ab" * 32))
    assert said.count("segment 0") == 2  # beside the band, and in its box
    assert "conv2d" not in said


def test_without_a_graph_segments_read_those_that_made_their_tensors() -> None:
    shown = [(one.name, one.inputs) for one in outline_segments(manifest(["left", "right"]))]
    assert shown == [("x", ()), ("segment 0", ("x",)), ("segment 1", ("segment 0",))]


@pytest.mark.parametrize("which", ["embedded", "tiny"])
def test_what_crosses_a_cut_in_the_graph_is_its_boundary(
    which: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(which)
    names = {tensor.name for boundary in bundle.manifest.boundaries for tensor in boundary.tensors}
    blocks = collapse(outline_of(bundle), names)
    boundaries = bundle.manifest.boundaries
    found = arrange_rows(blocks, len(boundaries) - 1, boundaries[-1].names)
    assert found is not None
    for boundary, row in zip(boundaries, found.cut_rows, strict=True):
        crossing = {blocks[place.block].value.name for place in found.places if place.row == row}
        assert crossing == boundary.names
    assert len(elements(draw_bundle(bundle), "circle")) == sum(len(b.tensors) for b in boundaries)


HOSTILE = {
    "no JSON": b"[",
    "a list": b"[]",
    "no name": b'{"nodes":[{"op":"x"}]}',
    "a text for a number": b'{"nodes":[{"name":"x","op":"x","macs":"1"}]}',
    "negative": b'{"nodes":[{"name":"x","op":"x","bytes":-1}]}',
    "a segment too many": b'{"nodes":[{"name":"x","op":"x","segment":2}]}',
    "reads what is not there": b'{"nodes":[{"name":"x","op":"x","inputs":["y"]}]}',
    "reads itself": b'{"nodes":[{"name":"x","op":"x","inputs":["x"]}]}',
    "twice": b'{"nodes":[{"name":"x","op":"x"},{"name":"x","op":"x"}]}',
    "reads a later segment": json.dumps(
        {"nodes": [{"name": "x", "op": "x", "segment": 1},
                   {"name": "y", "op": "y", "segment": 0, "inputs": ["x"]}]}
    ).encode(),
    "deep": b'{"nodes":' + b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_outlines_are_refused(name: str) -> None:
    with pytest.raises(BundleError, match=r"graph\.json: ") as caught:
        read_outline(HOSTILE[name], 2)
    assert "\n" not in str(caught.value)


def test_inspect_draws_into_a_file(embedded_file: Path, embedded: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "graph.svg"
    done = CliRunner().invoke(inspect, [str(embedded_file), "--svg", str(path)])
    assert done.exit_code == 0, done.output
    assert path.read_text() == draw_bundle(embedded)
    assert list(tmp_path.iterdir()) == [path]
    wrong = str(tmp_path / "no" / "graph.svg")
    done = CliRunner().invoke(inspect, [str(embedded_file), "--svg", wrong])
    assert isinstance(done.exception, ConfigError)
    assert "cannot be written" in str(done.exception)
