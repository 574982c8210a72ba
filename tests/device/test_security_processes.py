"""``offramp run`` against ``offramp serve``, each of which checks who the other is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_server.security.tokens import token_hash
from offramp.embedded.cluttered_digits import load
from tests.edge_server.pki import Pki

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()"]
Serve = Callable[..., str]
Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki.make(tmp_path_factory.mktemp("pki"))
    made.client("board-1")
    made.client("stranger")
    made.server("expired", begins_days=-60)
    made.server("early", begins_days=2)  # as a clock that is a day behind sees it
    return made


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clients") / "clients.yaml"
    path.write_text(
        "clients:\n"
        f"  board-1: {{tokens: [{{sha256: {token_hash('right')}}}]}}\n"
        f"  rightless: {{tokens: [{{sha256: {token_hash('weak')}}}], models: [another]}}\n"
    )
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples") / "test.npz"
    images, labels = load("test", 12)
    np.savez(path, inputs=images, labels=labels)
    return path


@pytest.fixture(scope="module")
def profile(embedded_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "here.json"
    options = ["--backend", "onnxruntime", "--threads", "1", "--rounds", "3", "-o", str(path)]
    words = [*COMMAND, "profile", str(embedded_file), *options]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return path


@pytest.fixture
def serve(embedded_file: Path) -> Iterator[Serve]:
    """Starts a server with options and returns its address."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: object) -> str:
        words = [*COMMAND, "serve", str(embedded_file), "--listen", "127.0.0.1:0"]
        process = subprocess.Popen(
            [*words, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        found = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
        assert found
        return found[1]

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def run(embedded_file: Path, source: Path, profile: Path, tmp_path: Path) -> Run:
    """Runs a device with options to its end; returns its status, lines and standard error."""

    def start(*options: object, token: str | None = None) -> Any:
        words = [*COMMAND, "run", str(embedded_file), "--source", str(source), "--quiet"]
        words += ["--profile", str(profile), "--out", "-", "--strategy", "server_only"]
        environment = {**os.environ, "OFFRAMP_CACHE": str(tmp_path / "cache")}
        environment.pop("OFFRAMP_TOKEN", None)
        if token:
            environment["OFFRAMP_TOKEN"] = token
        done = subprocess.run(
            [*words, *map(str, options)],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return start


def places(lines: list[dict[str, Any]]) -> set[str]:
    return {line["by"] for line in lines if line["kind"] == "result"}


def reasons(lines: list[dict[str, Any]]) -> list[str]:
    return [line["reason"] for line in lines if line["kind"] == "link" and not line["up"]]


def test_a_device_with_a_token_is_served_over_tls(
    serve: Serve, run: Run, pki: Pki, clients: Path
) -> None:
    files = ("--certificate", pki.path("server"), "--key", pki.path("server-key"))
    address = serve(*files, "--clients", clients)
    options = ("--server", address, "--require-server", "--deadline-ms", 5000)
    status, lines, said = run(*options, "--authority", pki.path("authority"), token="right")
    assert (status, said) == (0, "")
    assert "server" in places(lines)


def test_a_device_with_a_certificate_is_served(serve: Serve, run: Run, pki: Pki) -> None:
    authority = pki.path("authority")
    files = ("--certificate", pki.path("server"), "--key", pki.path("server-key"))
    address = serve(*files, "--client-authority", authority)
    own = ("--certificate", pki.path("board-1"), "--key", pki.path("board-1-key"))
    options = ("--server", address, "--authority", authority, "--require-server")
    status, lines, said = run(*options, *own, "--deadline-ms", 5000)
    assert (status, said) == (0, "")
    assert "server" in places(lines)


@pytest.mark.parametrize(
    ("token", "said"),
    [(None, "the token is missing"), ("wrong", "the token is not known here")],
)
def test_a_device_without_the_token_ends_if_it_needs_the_server_and_else_runs_alone(
    serve: Serve, run: Run, clients: Path, token: str | None, said: str
) -> None:
    address = serve("--clients", clients)
    status, lines, err = run("--server", address, "--require-server", token=token)
    assert (status, [line["kind"] for line in lines if line["kind"] == "result"]) == (11, [])
    assert said in err
    assert err.count("\n") == 1
    status, lines, err = run("--server", address, "--rate", 10, token=token)
    assert (status, err) == (0, "")
    assert places(lines) == {"device"}
    (reason,) = reasons(lines)  # once, for more than a second
    assert said in reason


@pytest.mark.parametrize(
    ("name", "said"),
    [("expired", "certificate has expired"), ("early", "certificate is not yet valid")],
)
def test_a_device_does_not_talk_to_a_server_whose_certificate_is_not_valid_now(
    serve: Serve, run: Run, pki: Pki, name: str, said: str
) -> None:
    address = serve("--certificate", pki.path(name), "--key", pki.path(f"{name}-key"))
    options = ("--server", address, "--authority", pki.path("authority"))
    status, _, err = run(*options, "--require-server")
    assert status == 11
    assert said in err
    assert "this machine's clock" in err
    status, lines, _ = run(*options)
    assert status == 0
    assert places(lines) == {"device"}


def test_a_device_does_not_talk_to_a_server_of_another_authority_or_name(
    serve: Serve, run: Run, pki: Pki, tmp_path: Path
) -> None:
    strange = Pki.make(tmp_path / "strange")
    files = ("--certificate", pki.path("server"), "--key", pki.path("server-key"))
    options = ("--server", serve(*files), "--require-server", "--authority")
    status, _, err = run(*options, strange.path("authority"))
    assert (status, "its certificate is not trusted" in err) == (11, True)
    status, _, err = run(*options, pki.path("authority"), "--server-name", "elsewhere")
    assert (status, "its certificate is not trusted" in err) == (11, True)


def test_encryption_at_one_end_alone_is_told(serve: Serve, run: Run, pki: Pki) -> None:
    plain = ("--server", serve(), "--require-server")
    status, _, err = run(*plain, "--authority", pki.path("authority"))
    assert (status, "the server does not encrypt" in err) == (11, True)
    files = ("--certificate", pki.path("server"), "--key", pki.path("server-key"))
    status, _, err = run("--server", serve(*files), "--require-server")
    assert status == 6
    assert "does not answer" in err or "ended" in err or "UNAVAILABLE" in err


def test_a_device_that_may_not_use_the_model_answers_by_itself(
    serve: Serve, run: Run, clients: Path
) -> None:
    address = serve("--clients", clients)
    status, lines, _ = run("--server", address, "--deadline-ms", 2000, token="weak")
    assert status == 0
    assert places(lines) == {"device"}


def test_a_bundle_is_fetched_by_who_may_have_it_alone(
    serve: Serve, source: Path, clients: Path, tmp_path: Path, profile: Path
) -> None:
    address = serve("--clients", clients)
    words = [*COMMAND, "run", "--server", address, "--source", str(source), "--quiet"]
    words += ["--profile", str(profile)]
    for token, status, word in (
        ("right", 0, ""),
        ("weak", 4, "offers none"),
        ("wrong", 11, "not known here"),
    ):
        home = {"OFFRAMP_CACHE": str(tmp_path / token), "OFFRAMP_TOKEN": token}
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=60, env={**os.environ, **home}
        )
        assert (done.returncode, word in done.stderr) == (status, True), done.stderr
