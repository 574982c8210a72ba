"""What counts as the same answers on two kinds of machine, and the plans they are asked for."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from offramp.bundle import open_bundle

Lines = list[dict[str, Any]]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks up its own annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def same_answers(repository: Path) -> ModuleType:
    return load(repository / "deploy/same_answers.py")


def usual(machine: str) -> Lines:
    """What a machine writes: three samples, one answered by each party."""

    def result(sample: int, by: str, answer: int) -> dict[str, Any]:
        return {"kind": "result", "id": sample, "status": "ok", "by": by, "answer": answer}

    return [
        {"kind": "machine", "machine": machine, "torch": False},
        {"kind": "run", "strategy": "split", "digest": "d", "fetched_bytes": 4_000_000},
        {"kind": "link", "up": True},
        *(result(0, "exit stage1", 3), result(1, "server", 4)),
        {"kind": "run", "strategy": "whole", "digest": "d", "fetched_bytes": 0},
        result(0, "device", 3),
        {"kind": "logits", "sample": 0, "rows": [[1.0, -2.0], [4.0, 0.5]]},
        {"kind": "logits", "sample": 1, "rows": [[0.0, 1.0], [-8.0, 0.5]]},
    ]


@pytest.fixture
def judge(
    same_answers: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Lines], tuple[int, list[str]]]:
    """Compares what a board wrote with what is usual; returns status and lines."""

    def judge(board: Lines) -> tuple[int, list[str]]:
        paths = tmp_path / "x86_64", tmp_path / "aarch64"
        for path, lines in zip(paths, (usual("x86_64"), board), strict=True):
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        status = same_answers.main(*paths)
        return status, capsys.readouterr().out.splitlines()

    return judge


def test_figures_stand_in_the_last_line(judge: Callable[..., Any]) -> None:
    board = usual("aarch64")
    board[-1]["rows"][0][1] += 2e-6
    assert judge(board) == (
        0,
        [
            "aarch64 against x86_64: 3 of 3 answers equal (1 by device, 1 by exit, 1 by server), "
            "logits of 2 samples at most 2.0e-06 apart (largest 8), 4,000,000 bytes of bundle "
            "fetched"
        ],
    )


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (0, {"torch": True}, "torch is installed"),
        (1, {"fetched_bytes": 0}, "the bundle was not fetched"),
        (5, {"digest": "e"}, "the bundles differ"),
        (3, {"answer": 5}, "plan split, sample 0: ('ok', 'exit stage1', 3) there, "),
        (3, {"by": "exit stage2"}, "plan split, sample 0: "),
        (4, {"by": "exit stage1"}, "no answer by server"),
        (4, {"status": "degraded"}, "('degraded', 'server', 4) here"),
        (4, {"id": 7}, "plan split, sample 7: ('missing',) there"),
        (7, {"rows": [[1.0, -2.0], [4.0, 0.501]]}, "logits differ by 0.001, more than 0.0008"),
        (7, {"rows": [[1.0, float("nan")], [4.0, 0.5]]}, "logits differ by inf"),
        (7, {"sample": 5}, "sets of samples differ"),
    ],
)
def test_a_difference_is_named_and_fails(
    judge: Callable[..., Any], line: int, change: dict[str, Any], said: str
) -> None:
    board = usual("aarch64")
    board[line].update(change)
    status, lines = judge(board)
    assert status == 1
    assert any(said in each for each in lines[:-1]), lines


def test_a_board_that_answers_nothing_fails(judge: Callable[..., Any]) -> None:
    assert judge(usual("aarch64")[:1])[0] == 1


def test_what_degrades_on_both_is_not_the_same_answer(same_answers: ModuleType) -> None:
    records = [same_answers.Record(), same_answers.Record()]
    for record in records:
        record.answers["split", 0] = {"status": "degraded", "by": "server", "answer": 1}
    assert any("degraded" in each for each in same_answers.differences(*records))


def test_plans_fit_the_bundle_of_the_image(repository: Path) -> None:
    board = load(repository / "deploy/board.py")
    bundle = open_bundle(repository / "offramp/embedded/cluttered_digits.offramp")
    manifest = bundle.manifest
    for plan in board.PLANS.values():
        assert len(plan.thresholds) == manifest.exits_before(plan.cut)
        levels = manifest.boundaries[plan.cut].levels if plan.level else [None]
        assert plan.level in levels
        assert (plan.level is None) == (plan.cut == max(bundle.cuts))
        assert board.Fixed(plan).decide(None, None, None) is plan
    assert {plan.cut for plan in board.PLANS.values()} >= {0, max(bundle.cuts)}


def test_a_board_runs_by_the_profile_of_another_machine(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = load(repository / "deploy/board.py")
    profile = {"digest": "d", "runners": [1, 2]}
    for line in ({"kind": "machine"}, {"kind": "profile", "profile": profile}, {"kind": "run"}):
        board.say(line)
    other = tmp_path / "other.jsonl"
    other.write_text(capsys.readouterr().out)
    assert board.profile_of(other) == profile
