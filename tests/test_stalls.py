"""What depends on time runs again where the machine stood still, and only there."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.timed

STORY = """
import collections
import pytest

runs = collections.Counter()

def stand_still():
    sum(range(3_000_000))  # holds the interpreter, so that no thread can wake

def nth_run(name):
    runs[name] += 1
    return runs[name]

@pytest.mark.timed
def test_passes_in_the_end():
    stand_still()
    assert nth_run("end") > 2

@pytest.mark.timed
def test_fails_each_time():
    stand_still()
    assert nth_run("each") > 99

@pytest.mark.timed
def test_passes_though_still():
    stand_still()
    assert nth_run("still") == 1

@pytest.mark.timed
def test_fails_on_a_calm_machine():
    assert nth_run("calm") > 99

def test_fails_of_itself():
    stand_still()
    assert nth_run("itself") > 99
"""


def test_it_runs_again_only_where_it_failed_and_the_machine_stood_still(tmp_path, repository):
    (tmp_path / "conftest.py").write_bytes((repository / "tests" / "conftest.py").read_bytes())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  timed\n  e2e\n")
    (tmp_path / "test_time.py").write_text(STORY)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = [line.split()[:2] for line in result.stdout.splitlines() if "::" in line]
    assert sorted([word, where.strip(":")] for word, where in said) == [
        ["AGAIN", "test_time.py::test_fails_each_time"],
        ["AGAIN", "test_time.py::test_passes_in_the_end"],
        ["FAILED", "test_time.py::test_fails_each_time"],
        ["FAILED", "test_time.py::test_fails_of_itself"],
        ["FAILED", "test_time.py::test_fails_on_a_calm_machine"],
        ["PASSED", "test_time.py::test_passes_in_the_end"],
        ["PASSED", "test_time.py::test_passes_though_still"],
    ]
