"""A board without torch: an environment with what a plain install brings, and no more."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from offramp.embedded.cluttered_digits import load

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).resolve().parents[2]
OFFRAMP = "from offramp.cli import main; main()"
EXTRAS = (
    "torch",
    "executorch",
    "onnx",
    "onnxscript",
    "scipy",
    "transformers",
    "sklearn",
    "matplotlib",
    "jinja2",
)
WATCHED = f"""
import atexit, sys
heavy = {{"grpc", "yaml", "PIL", "rich", "asyncio"}}
atexit.register(lambda: print(sorted(heavy & set(sys.modules)), file=sys.stderr))
{OFFRAMP}
"""
ANSWER = ("id", "answer", "confidence", "by", "status", "cut", "level")


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The Python of a virtual environment that holds links to the declared dependencies alone."""
    home = tmp_path_factory.mktemp("board")
    venv.create(home, symlinks=os.name != "nt")
    (site,) = home.glob("lib/python*/site-packages")
    for name in _closure("offramp"):
        for source in _top_level(name):
            if not (site / source.name).exists():
                (site / source.name).symlink_to(source)
    return home / "bin" / "python"


def _closure(name):
    """Return the distributions that an install of one without extras brings, itself included."""
    found, todo = set(), [name]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            wanted = map(Requirement, importlib.metadata.requires(name) or ())
            todo += [w.name for w in wanted if not w.marker or w.marker.evaluate({"extra": ""})]
    return found


def _top_level(name):
    """Yield the files and folders of a distribution that stand in site-packages."""
    distribution = importlib.metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files or ()}:
        path = Path(distribution.locate_file(top))
        if top != ".." and "__editable__" not in top and top != "__pycache__" and path.exists():
            yield path


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "test.npz"
    images, labels = load("test", 24)
    np.savez(path, inputs=images, labels=labels)
    return path


@pytest.fixture(scope="module")
def profile(board, embedded_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "board.json"
    _run(board, path.parent, "profile", embedded_file, "--rounds", 3, "--threads", 1, "-o", path)
    return path


def _environment(cache):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return plain | {"OFFRAMP_CACHE": str(cache), "PYTHONPATH": str(REPOSITORY)}


def _start(python, cache, *arguments, code=OFFRAMP, **options):
    command = [python, "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command, cwd=cache, env=_environment(cache), **pipes)


def _run(python, cache, *arguments, **options):
    with _start(python, cache, *arguments, **options) as process:
        out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return out, said


def _answers(ran):
    results = [json.loads(line) for line in ran[0].splitlines()]
    return [{key: r.get(key) for key in ANSWER} for r in results if r["kind"] == "result"]


def test_the_board_has_nothing_that_compiling_needs(board, tmp_path):
    code = f"from importlib.util import find_spec; print([n for n in {EXTRAS} if find_spec(n)])"
    assert _run(board, tmp_path, code=code)[0] == "[]\n"


def test_a_board_alone_loads_neither_grpc_nor_what_it_does_not_show(
    board, embedded_file, samples, profile, tmp_path
):
    run = ["run", embedded_file, "--source", samples, "--profile", profile, "--slowdown", 1]
    _, said = _run(board, tmp_path, *run, "--out", "o.jsonl", "--quiet", code=WATCHED)
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize("strategy", ["device_only", "device_exits"])
def test_a_board_answers_as_an_environment_with_torch_does(
    strategy, board, embedded_file, samples, profile, tmp_path
):
    run = ["run", embedded_file, "--source", samples, "--profile", profile, "--strategy", strategy]
    run += ["--slowdown", 1, "--deadline-ms", 60_000, "--out", "-", "--quiet"]
    here = _answers(_run(board, tmp_path, *run))
    there = _answers(_run(sys.executable, tmp_path, *run))
    assert len(here) == 24
    assert here == there


def test_a_board_and_a_server_without_torch_work_together(
    board, embedded_file, samples, profile, tmp_path
):
    serve = ["serve", embedded_file, "--listen", "127.0.0.1:0"]
    (home := tmp_path / "device").mkdir()
    with _start(board, tmp_path, *serve, stderr=subprocess.DEVNULL) as server:
        try:
            address = re.fullmatch(r"listening on (\S+)\n", server.stdout.readline())[1]
            run = ["run", "--server", address, "--source", samples, "--profile", profile]
            run += ["--strategy", "server_only", "--slowdown", 1, "--deadline-ms", 60_000]
            found = _answers(_run(board, home, *run, "--out", "-", "--quiet"))
        finally:
            server.terminate()
    assert len(found) == 24
    assert {(answer["by"], answer["status"]) for answer in found} == {("server", "ok")}
