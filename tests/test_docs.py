"""The documentation names files and commands that exist."""

import re
import shlex
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
PAGES = sorted(p for p in REPOSITORY.glob("**/*.md") if ".venv" not in p.parts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_sub_command_that_is_named_is_there(page, command_names):
    named = set(re.findall(r"`offramp ([a-z]+)[ `]", page.read_text()))
    assert named <= command_names


def test_the_commands_that_the_readme_shows_have_these_options():
    from offramp.commands import _offramp

    blocks = re.findall(r"^```console\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("offramp ")]
    named = set()
    for line in lines:
        _, name, *words = shlex.split(line, comments=True)
        _offramp.get_command(None, name).make_context(name, words)
        named.add(name)
        paths = [word for word in words if word.startswith("offramp/")]
        assert all((REPOSITORY / path).is_file() for path in paths)
    assert {"profile", "plan", "compile", "serve", "run", "report"} <= named


def test_the_table_of_models_has_a_line_for_each_of_the_zoo():
    pytest.importorskip("torch")
    from benchmarks.zoo import ZOO

    page = (REPOSITORY / "docs" / "models.md").read_text()
    assert [entry.name for entry in ZOO if f"| {entry.name} |" not in page] == []


@pytest.fixture(scope="module")
def command_names():
    text = (REPOSITORY / "pyproject.toml").read_text()
    block = text.split('[project.entry-points."offramp.commands"]')[1].split("[tool")[0]
    return {line.split("=")[0].strip() for line in block.splitlines() if "=" in line} | {
        "completion"
    }
