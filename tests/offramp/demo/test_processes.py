import os
import signal
import sys
import time

import pytest

from offramp.demo.processes import Child, offramp_command
from offramp.demo.settings import DemoSettings
from offramp.demo.steps import measure_profile
from offramp.errors import OfframpError
from partitioner.profile import load_profile

pytestmark = pytest.mark.e2e


def python(code):
    return [sys.executable, "-c", code]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_tells_where_it_listens_and_is_ended(tmp_path):
    code = "import time; print('loading'); print('listening on 127.0.0.1:99', flush=True)"
    with Child("server", python(f"{code}; time.sleep(60)"), tmp_path) as child:
        assert child.address(10) == "127.0.0.1:99"
        child.check()
        assert is_alive(child.pid)
    assert not is_alive(child.pid)
    assert (tmp_path / "server.out").read_text().startswith("loading")


def test_the_demos_profile_has_times_of_a_quantised_head_and_of_float_tails(
    tiny_int8_file, tmp_path
):
    settings = DemoSettings(bundle=tiny_int8_file, out=tmp_path, profile_rounds=1)
    settings.logs.mkdir()
    measure_profile(settings)
    found = load_profile(tmp_path / "profile.json")
    names = (found.main.backend, found.tail_runner.backend)
    assert names == ("onnxruntime_int8", "onnxruntime")


def test_a_child_that_never_listens_is_an_error_in_time(tmp_path):
    begin_s = time.monotonic()
    with (
        Child("the link", python("import time; time.sleep(60)"), tmp_path) as child,
        pytest.raises(OfframpError, match=r"the link did not say where it listens within 0.3 s"),
    ):
        child.address(0.3)
    assert time.monotonic() - begin_s < 5
    assert not is_alive(child.pid)


def test_a_child_that_dies_is_quoted_in_one_sentence(tmp_path):
    code = (
        "import sys; print('one\\n\\ntwo\\nthree\\nno such bundle', file=sys.stderr); sys.exit(4)"
    )
    with (
        Child("server", python(code), tmp_path) as child,
        pytest.raises(OfframpError) as died,
    ):
        child.address(10)
    assert str(died.value) == "server ended with status 4: two; three; no such bundle"


def test_a_child_that_dies_silently_has_its_log_named(tmp_path):
    with (
        Child("agent", python("raise SystemExit(3)"), tmp_path) as child,
        pytest.raises(OfframpError, match=r"agent ended with status 3; its log .*agent.err is"),
    ):
        child.wait(10)


def test_waiting_ends_with_the_child_or_with_the_limit(tmp_path):
    with Child("quick", python("pass"), tmp_path) as child:
        child.wait(10)
        assert child.ended()
    with (
        Child("slow", python("import time; time.sleep(60)"), tmp_path) as child,
        pytest.raises(OfframpError, match=r"slow did not end within 0.2 s"),
    ):
        child.wait(0.2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OfframpError])
def test_children_end_whatever_happens(tmp_path, error):
    with (
        pytest.raises(error),
        Child("child", python("import time; time.sleep(60)"), tmp_path) as child,
    ):
        raise error
    assert not is_alive(child.pid)


def test_a_child_that_ignores_the_request_is_killed_with_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("offramp.demo.processes._GRACE_S", 0.2)
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "own = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'])\n"
        "print(f'listening on {own.pid}', flush=True)\n"
        "time.sleep(60)\n"
    )
    with Child("stubborn", python(code), tmp_path) as child:
        grandchild = int(child.address(10))
    assert not is_alive(child.pid)
    until_s = time.monotonic() + 5
    while is_alive(grandchild) and not is_zombie(grandchild) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not is_alive(grandchild) or is_zombie(grandchild)


def is_zombie(pid):
    """Whether a process has ended but whoever adopted it has not taken note."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def test_a_signalled_child_is_quoted_too(tmp_path):
    with Child("server", python("import time; time.sleep(60)"), tmp_path) as child:
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(OfframpError, match=r"server ended with status -9"):
            child.wait(10)


def test_the_command_runs_offramp(tmp_path):
    with Child("version", offramp_command("--version"), tmp_path) as child:
        child.wait(20)
    assert (tmp_path / "version.out").read_text().startswith("offramp ")
