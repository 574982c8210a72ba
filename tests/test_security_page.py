"""Every line of docs/security.md names tests, and every test that it names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@cache
def names_in(path):
    tree = ast.parse((REPOSITORY / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_is_there(path, name):
    assert name.startswith("test_")
    assert name in names_in(path)


def test_every_line_of_the_tables_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    told = [row for row in rows if not row.endswith("| test |") and "| SSIM |" not in row]
    promised = [row for row in told if not re.search(r"\| [\d.]+ \|$", row)]
    assert len(promised) > 40
    assert [row for row in promised if "`tests/" not in row] == []


@pytest.mark.parametrize(
    "threat",
    ["client", "server", "bundle", "local user"],
)
def test_each_of_the_hostile_has_a_chapter(threat):
    assert f"## Hostile {threat}\n" in PAGE
    assert "## Eavesdropper\n" in PAGE
    assert "## Lost device\n" in PAGE
