"""``offramp inspect``: what a bundle holds, readable on a narrow terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from offramp.backends import BACKENDS
from offramp.bundle import Boundary, ExitSpec, FileEntry, Manifest, SegmentSpec
from offramp.bundle.command import inspect
from offramp.bundle.manifest import Proof
from offramp.bundle.quantised import Quantised
from offramp.bundle.table import cut_table, engine_lines, level_lines, print_cost, segment_table
from offramp.tensors import TensorSpec

LEVELS: dict[str, Any] = {"raw": ({}, {}), "affine4": ({}, {})}


def manifest(**fields: Any) -> Manifest:
    """Two segments; two tensors cross in the middle, where there is an exit."""
    middle = (TensorSpec("left", "float32", (64, 12, 12)), TensorSpec("right", "float16", (10,)))
    given = {
        "name": "two",
        "boundaries": (
            Boundary(tensors=(TensorSpec("image", "uint8", (96, 96, 3)),), levels={"raw": ({},)}),
            Boundary(tensors=middle, levels=LEVELS),
            Boundary(tensors=(TensorSpec("logits", "float32", (10,)),)),
        ),
        "segments": (
            SegmentSpec(folder="s0", macs=2_500_000, reads=("image",), makes=("left", "right")),
            SegmentSpec(folder="s1", macs=2_500_000, reads=("left", "right"), makes=("logits",)),
        ),
        "exits": (ExitSpec(name="early", boundary=1, tensor="left", folder="e", macs=1),),
        "proofs": tuple(
            Proof(
                backend=backend,
                cut=1,
                max_abs_difference=difference,
                max_relative_difference=difference,
                samples=4,
            )
            for backend, difference in (("a", 1e-7), ("b", 2e-6))
        ),
        "files": {},
        **fields,
    }
    return Manifest(**given)


def shown(table: Any, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_row_says_what_crosses_a_cut_and_what_runs_before_it() -> None:
    rows = [line.split() for line in shown(cut_table(manifest(), "ab" * 32))]
    assert rows[0] == ["two,", "digest", "abababababab"]
    assert rows[4:8] == [
        ["0", "uint8", "96x96x3", "27648", "0.0"],
        ["1", "float32", "64x12x12", "36884", "2.5", "early", "2.0e-06"],
        ["float16", "10"],
        ["2", "float32", "10", "40", "5.0"],
    ]


def test_lines_name_the_levels_of_cuts_that_share_them() -> None:
    assert level_lines(manifest()) == ["cut 0: raw", "cut 1: raw, affine4", "cut 2: sends nothing"]
    boundaries, segments = manifest().boundaries, manifest().segments
    again = manifest(
        boundaries=(boundaries[1], boundaries[0], boundaries[1]),
        segments=(
            segments[0].model_copy(update={"reads": ("left",), "makes": ("image",)}),
            segments[1].model_copy(update={"reads": ("image",), "makes": ("left", "right")}),
        ),
        exits=(),
        proofs=(),
    )
    assert level_lines(again) == ["cut 0, 2: raw, affine4", "cut 1: raw"]


FLOAT = [name for name, engine in BACKENDS.items() if engine.exact]
ENTRY = FileEntry(bytes=2_000_000, sha256="0" * 64)


def test_a_part_says_its_work_its_weights_and_its_backends() -> None:
    programs = dict.fromkeys(["s0/model.onnx", "s0/program.json", "s1/model.onnx"], ENTRY)
    files = {**programs, "s0/weights.safetensors": ENTRY}
    rows = [line.split() for line in shown(segment_table(manifest(files=files)), 100)]
    assert rows[4:7] == [
        ["segment", "0", "2.5", "2000000", *", ".join(FLOAT).split()],
        ["segment", "1", "2.5", "0", "onnxruntime"],
        ["exit", "early", "0.0", "0", "none"],
    ]


def test_lines_say_what_a_device_fetches_and_what_is_proven_or_skipped() -> None:
    files = dict.fromkeys([f"{folder}/model.onnx" for folder in ("s0", "s1", "e")], ENTRY)
    proof = {"backend": "onnxruntime", "max_abs_difference": 0.1, "samples": 4}
    proofs = tuple(
        Proof(cut=cut, max_relative_difference=difference, **proof)
        for cut, difference in ((0, 1e-7), (1, 2e-6))
    )
    first, second = manifest().segments
    skipped = first.model_copy(update={"skipped": {"executorch": "no kernel for aten.fft"}})
    assert engine_lines(manifest(files=files, proofs=proofs, segments=(skipped, second))) == [
        "onnxruntime: a device fetches 6 MB; at 2 cuts within 2.0e-06 of the whole model's outputs",
        "s0 has no program for executorch: no kernel for aten.fft",
    ]
    assert engine_lines(manifest()) == []


def test_what_int8_costs_is_shown_and_who_runs_what(quantised: Quantised) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_cost(console, quantised)
    assert isinstance(console.file, io.StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines[4:8] == [
        "accuracy, exit early 76.4% 76.7% +0.3 points",
        "accuracy, whole model 95.8% 94.8% -1.0 points",
        "programs 3.86 MB 1.05 MB x 0.27",
        "time of the whole 5.80 ms 2.90 ms x 0.50",
    ]
    assert lines[9:] == [
        "heads run on onnxruntime_int8, tails do not; its ranges are from 250 samples, "
        "the figures from 750 others",
        "the whole model answers 98.2% of them as before; its outputs differ by 0.065 of the "
        "largest at most, 0.0038 on average",
    ]
    programs = ("model.onnx", "int8.onnx")
    files = [f"{folder}/{name}" for folder in ("s0", "s1", "e") for name in programs]
    assert engine_lines(manifest(files=dict.fromkeys(files, ENTRY), quantised=quantised)) == [
        "onnxruntime: for tails alone",
        "onnxruntime_int8: a device fetches 6 MB",
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_long_names_are_folded_and_lose_nothing(width: int) -> None:
    name = "backbone.layer3.0.downsample.norm"
    lines = shown(
        cut_table(
            manifest(exits=(ExitSpec(name=name, boundary=1, tensor="left", folder="e", macs=1),)),
            "ab" * 32,
        ),
        width,
    )
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_names_are_text_and_no_markup() -> None:
    assert "[red]two[/nothing]" in shown(cut_table(manifest(name="[red]two[/nothing]"), ""))[0]


def test_the_embedded_bundle_fits_a_terminal_of_80_columns(embedded_file: Path) -> None:
    said = CliRunner(env={"COLUMNS": "80"}).invoke(inspect, [str(embedded_file)]).output
    table, _, rest = said.partition("\ncut 0:")
    assert max(len(line.rstrip()) for line in table.splitlines()) <= 80
    rows = [line for line in table.splitlines() if line.strip()[:1].isdigit()]
    assert [row.split()[0] for row in rows] == [str(cut) for cut in range(9)]
    assert "webp_lossless" in rest
    assert "accuracy: on 1000 held-out samples" in rest
    assert rest.rstrip().endswith("MB unpacked")


def test_json_is_the_manifest(embedded_file: Path, embedded: Any) -> None:
    said = CliRunner().invoke(inspect, [str(embedded_file), "--json"]).output
    assert Manifest.model_validate_json(said) == embedded.manifest
    assert json.loads(said)["name"] == "cluttered_digits"
