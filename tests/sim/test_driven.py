"""The page says of every module of a device and a server whether the simulator runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
TYPES_ALONE = {"device.pace", "edge_server.history"}  # imported by settings and tickets for a name
IMPORTED = """
import sys
import sim.world.processes
print(*(name for name in sys.modules if name.split(".")[0] in ("device", "edge_server")))
"""


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[set[str], set[str]]]:
    """The modules that each row of the table names, those of the device and of the server."""
    page = (REPOSITORY / "docs/simulator.md").read_text()
    table = page[page.index("| | `device` | `edge_server` |") :].split("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        device, server = (
            {f"{package}.{name}" for name in re.findall(r"`([a-z_]+)`", cell)}
            for package, cell in zip(("device", "edge_server"), cells, strict=True)
        )
        found[title] = device, server
    return found


def test_every_module_is_named_once(rows) -> None:
    for at, package in enumerate(("device", "edge_server")):
        named = [name for each in rows.values() for name in each[at]]
        paths = (REPOSITORY / package).iterdir()
        there = {
            f"{package}.{path.stem}"
            for path in paths
            if (path.suffix == ".py" or (path / "__init__.py").is_file())
            and path.stem != "__init__"
        }
        assert sorted(named) == sorted(there)


def test_those_that_run_as_they_are_and_no_others_are_imported(rows) -> None:
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    imported = {".".join(name.split(".")[:2]) for name in done.stdout.split() if "." in name}
    device, server = rows["runs as it is"]
    assert imported - TYPES_ALONE == device | server
