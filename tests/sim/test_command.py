import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from offramp.errors import AddressError, ConfigError
from sim.command import shape

WAYS = ["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9"]


def invoke(*arguments):
    return CliRunner().invoke(shape, arguments, standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([*WAYS], "exactly one of --link, --preset and --trace"),
        ([*WAYS, "--preset", "lte", "--trace", "x"], "exactly one of"),
        ([*WAYS, "--preset", "5g"], "unknown preset '5g'; choose one of wifi, lte, poor"),
        ([*WAYS, "--preset", "ltte"], "did you mean 'lte'"),
        ([*WAYS, "--preset", "lte", "--delay-ms", "3"], "belong to --trace"),
        ([*WAYS, "--preset", "lte", "--down-trace", "x"], "belong to --trace"),
        ([*WAYS, "--link", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        ([*WAYS, "--trace", "nowhere.gz"], "nowhere.gz: cannot be read"),
        (["--listen", "here", "--upstream", "a:1", "--preset", "lte"], "'here' is not HOST:PORT"),
        (["--listen", "a:1", "--upstream", "a:99999", "--preset", "lte"], "'a:99999' is not HOST"),
        (["--listen", "a:1", "--upstream", "a:0", "--preset", "lte"], "'a:0' names no port"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(arguments, why):
    with pytest.raises(ConfigError, match=why) as refused:
        invoke(*arguments)
    assert "\n" not in str(refused.value)


def test_a_port_in_use_is_refused_by_its_address():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=f"127.0.0.1:{port} .*choose another"):
            invoke("--listen", f"127.0.0.1:{port}", "--upstream", "a:1", "--preset", "wifi")


def test_help_names_every_option():
    text = CliRunner().invoke(shape, ["--help"]).output
    for option in ("--listen", "--upstream", "--link", "--preset", "--trace", "--seed", "--start"):
        assert option in text


@pytest.mark.e2e
def test_the_command_is_light_to_import():
    code = (
        "import sys, sim.command; "
        "assert not {'numpy', 'pydantic', 'asyncio', 'yaml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_relays_until_it_is_told_to_stop(tmp_path, number):
    link = tmp_path / "link.yaml"
    link.write_text("phases: [{name: good, up: [{kind: delay, seconds: 0.01}]}]")
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", "from sim.command import shape; shape()"]
        command += ["--listen", "127.0.0.1:0", "--link", str(link)]
        command += ["--upstream", f"127.0.0.1:{server.getsockname()[1]}"]
        with subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                host, port = process.stdout.readline().split()[-1].split(":")
                with socket.create_connection((host, int(port)), timeout=5) as client:
                    client.sendall(b"hello")
                    inner, _ = server.accept()
                    with inner:
                        inner.settimeout(5)
                        assert inner.recv(5) == b"hello"
                    process.send_signal(number)
                    out, err = process.communicate(timeout=10)
            finally:
                process.kill()
    assert process.returncode == 0
    assert out == ""
    assert err == "phase good at 0.0 s\n"
