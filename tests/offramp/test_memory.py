"""What only loading needed goes back to the system, and what runs comes back from there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from offramp import memory

RESIDENT = """
import re, sys
import numpy as np
import onnxruntime, pydantic
from offramp.memory import return_unused_memory

def resident_kb(kind):
    return int(re.search(kind + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

freed = [bytes(1000) for _ in range(20_000)]
kept = np.arange(1_000_000)
del freed
before = resident_kb("RssFile")
return_unused_memory()
print(before - resident_kb("RssFile"), int(kept.sum()), float(np.linalg.det(np.eye(3))))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the calls")
def test_code_that_ran_is_returned_and_runs_again() -> None:
    command = [sys.executable, "-c", RESIDENT]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    returned_kb, kept, determinant = done.stdout.split()
    assert int(returned_kb) > 10_000
    assert (int(kept), float(determinant)) == (499_999_500_000, 1.0)


def test_where_the_system_has_no_such_calls_nothing_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Absent:
        def __getattr__(self, name: str) -> None:
            raise AttributeError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Absent())
    memory.return_unused_memory()
    monkeypatch.setattr(memory, "Path", lambda path: Path("/nowhere"))
    memory.return_unused_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says so")
def test_only_code_that_was_never_written_is_returned() -> None:
    entry = (
        b"7f00-7f10 %s 00000000 fe:01 %d                         /lib/x.so\n"
        b"Size:                 64 kB\nRss:                  64 kB\nAnonymous:%11d kB\n"
        b"VmFlags: rd ex mr mw me\n"
    )
    kinds = [(b"r-xp", 7, 0), (b"r-xp", 7, 4), (b"rw-p", 7, 0), (b"r--p", 7, 0), (b"r-xp", 0, 0)]
    found = [bool(memory._CODE.search(entry % kind)) for kind in kinds]
    assert found == [True, False, False, False, False]
    two = (entry % kinds[1] + entry % kinds[0]).replace(b"7f00-7f10", b"7e00-7f00", 1)
    assert [match.group(1) for match in memory._CODE.finditer(two)] == [b"7f00"]
