"""The Dockerfile: several stages, exact packages, nothing in an image that it does not need."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "deploy/Dockerfile").read_text()
COMMANDS = [
    line for line in TEXT.replace("\\\n", " ").splitlines() if line and not line.startswith("#")
]
FROM = re.compile(r"FROM (?:--platform=\S+ )?(\S+) AS (\S+)")
FINAL = ("edge-server", "link-shaper", "device")
HEAVY = ("torch", "onnxscript", "scikit-learn", "matplotlib")


def stages() -> dict[str, tuple[str, list[str]]]:
    """Each stage's base and commands."""
    found: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []  # before the first stage
    for command in COMMANDS:
        if match := FROM.fullmatch(command):
            found[match[2]] = (match[1].replace("${BASE}", default_base()), lines := [])
        else:
            lines.append(command)
    return found


def default_base() -> str:
    """What an image is built from unless the build says otherwise."""
    assert COMMANDS[0].startswith("ARG BASE=")
    return COMMANDS[0].removeprefix("ARG BASE=")


def chain(stage: str) -> list[str]:
    """The commands that make a stage's image, those of the stages it builds upon first."""
    base, commands = stages()[stage]
    return [*(chain(base) if base in stages() else []), *commands]


def test_every_image_comes_from_one_exact_base() -> None:
    outside = {base for base, _ in stages().values() if base not in stages()}
    assert outside == {"python:3.11-slim"}
    assert "latest" not in TEXT


def test_needs_no_newer_engine() -> None:
    assert "# syntax" not in TEXT
    assert "<<" not in TEXT


@pytest.mark.parametrize("stage", FINAL)
def test_final_image_installs_nothing_and_is_not_root(stage: str) -> None:
    commands = chain(stage)
    assert not any("pip " in command or "apt" in command for command in commands)
    users = [command.split()[1] for command in commands if command.startswith("USER ")]
    assert users == ["10001:10001"]
    assert any(command.startswith("COPY --from=") for command in commands)


def test_a_device_that_starts_again_may_write_its_results() -> None:
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    assert "{type: tmpfs, target: /results, tmpfs: {size: 67108864, mode: 1023}}" in compose
    assert f"RUN mkdir -m {1023:o} /results" in chain("device")


def test_installs_are_pinned_and_leave_no_cache() -> None:
    installs = [command for command in COMMANDS if "pip install" in command]
    assert installs
    assert all("pip install -c constraints.txt " in command for command in installs)
    having = [name for name in stages() if any("pip install" in each for each in chain(name))]
    assert having == ["build", "samples", "package"]
    for name in having:
        assert any("PIP_NO_CACHE_DIR=1" in each for each in chain(name))


def test_nothing_is_compiled_so_that_every_machine_builds_the_same() -> None:
    for name in ("build", "samples", "package"):
        assert any("PIP_ONLY_BINARY=:all:" in each for each in chain(name))
    assert not any(re.search(r"\b(gcc|build-essential|--no-binary)\b", each) for each in COMMANDS)


def test_one_file_serves_every_machine() -> None:
    assert not re.search(r"arm64|aarch64|amd64|x86|TARGETARCH", TEXT)
    froms = [command for command in COMMANDS if command.startswith("FROM ")]
    assert {each for each in froms if each.split()[-3] not in stages()} == {
        "FROM ${BASE} AS build",
        "FROM ${BASE} AS runtime",
        "FROM --platform=$BUILDPLATFORM python:3.11-slim AS samples",
    }


def test_what_another_machine_draws_is_all_that_it_gives() -> None:
    copies = [command for command in COMMANDS if "--from=samples" in command]
    assert copies == ["COPY --from=samples /samples.npz /opt/offramp/samples.npz"]


def test_torch_is_nowhere_on_the_way_to_an_image() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[\[<>=~! ]", needed)[0] for needed in project["dependencies"]]
    assert not set(HEAVY) & set(names)
    assert "offramp" not in names
    installs = [command for command in COMMANDS if "pip install" in command]
    assert not any(re.search(r"torch|\.\[", command) for command in installs)


def test_scikit_learn_stays_in_the_stage_that_draws() -> None:
    having = [name for name in stages() if any("scikit-learn" in each for each in chain(name))]
    assert having == ["samples"]


def test_telemetry_is_off() -> None:
    assert all(
        any("ORT_DISABLE_TELEMETRY=1" in command for command in chain(name)) for name in FINAL
    )


def test_context_holds_what_is_copied() -> None:
    ignore = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    copies = [c.split()[1:-1] for c in COMMANDS if c.startswith("COPY") and "--from" not in c]
    paths = [path for words in copies for path in words if not path.startswith("--")]
    assert "offramp" in paths
    for path in paths:
        assert (REPOSITORY / path).exists(), path
        top = [path, *map(str, Path(path).parents)]
        assert any(fnmatch(part, pattern) for part in top for pattern in allowed), path
