"""House rules: who may import whom, what is loaded when, and nothing that runs what it reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("offramp", "partitioner", "device", "edge_server", "sim")
RUNS_WHAT_IT_READS = re.compile(
    r"\b(?:c?[pP]ickle|dill|joblib|marshal|shelve)\b(?!s)|torch\.load\b|allow_pickle\s*=\s*True"
    r"|(?<![\w.])(?:eval|exec)\(|yaml\.(?:unsafe_)?load\b|np\.load\((?!.*allow_pickle=False)"
)


@pytest.mark.e2e
def test_packages_import_whom_they_may(repository: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
    ]
    result = subprocess.run(
        [*command, "--no-cache"], cwd=repository, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stdout
    assert " 0 broken" in result.stdout


@pytest.mark.e2e
def test_starting_a_part_does_not_load_torch(repository: Path) -> None:
    modules = [
        *("offramp.cli", "offramp.commands", "offramp.network", "offramp.calibration"),
        *(
            "partitioner.profile_command",
            "partitioner.plan_command",
            "partitioner.planner",
            "partitioner.strategies",
        ),
        *("device.main", "edge_server.server", "sim.relay"),
    ]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'onnx'} & set(sys.modules), name\n"
    )
    subprocess.run([sys.executable, "-c", code, *modules], cwd=repository, check=True, timeout=60)


def test_nothing_runs_what_it_reads(repository: Path) -> None:
    """Nothing of ours unpickles or evaluates; a comment or docstring may say so."""
    found = []
    for package in PACKAGES:
        for path in sorted((repository / package).rglob("*.py")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if RUNS_WHAT_IT_READS.search(line) and "no pickle" not in line.lower():
                    found.append(f"{path.relative_to(repository)}:{number}: {line.strip()}")
    assert found == []


def test_tests_are_found_by_their_path_alone(repository: Path) -> None:
    """With an ``__init__.py`` a folder of tests would hide the package of its name."""
    assert list((repository / "tests").rglob("__init__.py")) == []


def test_the_time_of_day_decides_nothing_but_the_end_of_tokens(repository: Path) -> None:
    """Deadlines are times left: clocks that differ by hours change nothing but what traces say."""
    reads = re.compile(
        r"\btime\.time\b|\bdatetime\.now\b|\butcnow\b|\btoday\(|\b(?:gm|local)time\b"
    )
    parts = [*(repository / "device").rglob("*.py"), *(repository / "edge_server").rglob("*.py")]
    parts += [repository / "offramp" / "messages.py", repository / "offramp" / "catalogue.py"]
    found = {str(p.relative_to(repository)) for p in parts if reads.search(p.read_text())}
    assert found - {"device/traces.py", "edge_server/seeing/traces.py"} == {
        "edge_server/security/identity.py"
    }
