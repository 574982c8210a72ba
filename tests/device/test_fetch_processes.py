"""Devices that know only a server's address, as processes of their own."""

import asyncio
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from offramp.bundle import MANIFEST, Manifest, open_bundle, write_bundle
from offramp.embedded.cluttered_digits import load
from offramp.network import Network
from sim.description import parse_link
from sim.model import build_link
from sim.relay import Relay
from sim.sockets import Address, listen, precise_loop

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()"]
SLOW = [{"kind": "rate", "bps": 8_000_000}]
NOT_FETCHED = ("program.json", ".partial")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "test.npz"
    images, labels = load("test", 6)
    np.savez(path, inputs=images, labels=labels)
    return path


@pytest.fixture(scope="module")
def profile(embedded_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "here.json"
    options = ["--backend", "onnxruntime", "--threads", "1", "--rounds", "3", "-o", str(path)]
    command = [*COMMAND, "profile", str(embedded_file), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


@contextlib.contextmanager
def serving(*bundles, port=0):
    """The address of a server in a process of its own."""
    with started(*bundles, port=port) as (_, address):
        yield address


@contextlib.contextmanager
def started(*bundles, port=0, log=subprocess.DEVNULL):
    """A server's process and address."""
    command = [*COMMAND, "serve", *map(str, bundles), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        try:
            yield process, re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())[1]
        finally:
            process.kill()


@contextlib.contextmanager
def shaped(address, **description):
    """The address of a link to a server, in a thread of this process."""
    listener = listen(Address("127.0.0.1", 0))
    host, _, port = address.rpartition(":")
    relay_of = lambda: Relay(  # noqa: E731
        build_link(parse_link(description, "link")), Address(host, int(port)), lambda line: None
    )
    loops, ended = [], threading.Event()

    async def relay():
        loops.append((asyncio.get_running_loop(), asyncio.current_task()))
        await relay_of().serve(listener)

    def run():
        try:
            with asyncio.Runner(loop_factory=precise_loop) as runner:
                runner.run(relay())
        except asyncio.CancelledError:
            ended.set()

    thread = threading.Thread(target=run)
    address = "{}:{}".format(*listener.getsockname())
    thread.start()
    try:
        yield address
    finally:
        loop, task = loops[0]
        loop.call_soon_threadsafe(task.cancel)
        assert ended.wait(10)


def device(cache, samples, profile, *options, stdin=None, stdout=subprocess.PIPE):
    """Start a device; ``profile`` is measured here, so that it costs no time."""
    command = [*COMMAND, "run", "--source", str(samples), "--profile", str(profile)]
    return subprocess.Popen(
        [*command, "--slowdown", "1", "--out", "-", "--quiet", *map(str, options)],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=stdin is None,
        env={**os.environ, "OFFRAMP_CACHE": str(cache)},
    )


def opening_of(process, timeout_s=60):
    """Wait for a device, check that it answered all samples, and return its opening line."""
    out, err = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    results = [line for line in lines if line["kind"] == "result"]
    assert sorted(r["id"] for r in results) == list(range(6))
    assert {r["status"] for r in results} <= {"ok", "degraded"}
    return lines[0]


def refused(process):
    _, err = process.communicate(timeout=60)
    assert len(err.strip().splitlines()) == 1, err
    return process.returncode, err


def wait_for_bytes(cache, count):
    def size_bytes():
        return sum(path.stat().st_size for path in cache.rglob("*.*") if path.is_file())

    wait_for(lambda: size_bytes() >= count)


def wait_for(condition, limit_s=60):
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def fetched(cache, digest):
    return {
        str(path.relative_to(cache / digest)): path.stat().st_size
        for path in (cache / digest).rglob("*")
        if path.is_file()
    }


def rewritten(bundle, path, files=None, **changed):
    """Write a bundle with other files or fields."""
    fields = {key: getattr(bundle.manifest, key) for key in Manifest.model_fields}
    fields.pop("files")
    all_files = {file: bundle.path(file).read_bytes() for file in bundle.manifest.files}
    write_bundle(path, {**fields, **changed}, {**all_files, **(files or {})})
    return open_bundle(path)


def in_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def renamed(bundle, path, name):
    """Write the same model under another name."""
    return rewritten(bundle, path, name=name)


def shifted(bundle, path):
    """Write a model that answers the next digit: the last layer's rows are turned by one."""
    name = f"{bundle.manifest.segments[-1].folder}/weights.safetensors"
    arrays = {key: np.roll(array, 1, axis=0) for key, array in bundle.arrays(name).items()}
    return rewritten(bundle, path, {name: save(arrays)})


def test_a_device_with_nothing_but_the_address_answers_and_again_when_the_server_is_gone(
    embedded, embedded_file, samples, profile, tmp_path
):
    with serving(embedded_file) as address:
        opening = opening_of(device(tmp_path, samples, profile, "--server", address))
        assert (opening["digest"], opening["bundle_origin"]) == (embedded.digest, "server")
        files = fetched(tmp_path, embedded.digest)
        assert opening["fetched_bytes"] == sum(files.values())
        assert not [name for name in files if name.endswith(NOT_FETCHED)]
        again = opening_of(device(tmp_path, samples, profile, "--server", address))
        assert again["fetched_bytes"] == 0
    (tmp_path / "hasty.yaml").write_text("deadline_s: 1.0\nconnect_s: 0.5\n")
    options = ("--server", address, "--settings", tmp_path / "hasty.yaml")
    alone = opening_of(device(tmp_path, samples, profile, *options))
    assert (alone["bundle_origin"], alone["digest"]) == ("cache", embedded.digest)
    assert "is the server running?" in alone["bundle_reason"]
    status, said = refused(device(tmp_path, samples, profile, *options, "--require-server"))
    assert (status, "is the server running?" in said) == (6, True)
    status, said = refused(device(tmp_path, samples, profile))
    assert (status, "--server to fetch it from" in said) == (2, True)


@pytest.mark.timed
def test_a_device_that_has_its_bundle_waits_for_no_server_that_is_gone_and_once_for_a_silent_one(
    embedded_file, samples, profile, tmp_path
):
    connect_s = 6.0
    (tmp_path / "patient.yaml").write_text(f"deadline_s: 1.0\nconnect_s: {connect_s}\n")
    with serving(embedded_file) as address:
        opening_of(device(tmp_path, samples, profile, "--server", address))

    def start_s():
        options = ("--server", address, "--settings", tmp_path / "patient.yaml")
        began_s = time.monotonic()
        opening = opening_of(device(tmp_path, samples, profile, *options))
        assert opening["bundle_origin"] == "cache"
        return time.monotonic() - began_s

    assert start_s() < connect_s
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))):  # connections open, and nobody says anything
        assert connect_s < start_s() < 2 * connect_s


@pytest.mark.timed
def test_a_device_takes_up_what_a_server_holds_that_comes_after_its_start(
    embedded, embedded_file, tmp_path, profile
):
    images, _ = load("test", 1)
    cache, out = tmp_path / "cache", tmp_path / "out.jsonl"
    np.savez(tmp_path / "one.npz", inputs=np.repeat(images, 6, axis=0), labels=np.zeros(6, int))
    with serving(embedded_file) as address:
        opening_of(device(cache, tmp_path / "one.npz", profile, "--server", address))
    new = shifted(embedded, tmp_path / "new.offramp")
    with contextlib.ExitStack() as stack:
        pipes = {"stdin": subprocess.PIPE, "stdout": stack.enter_context(out.open("wb"))}
        process = device(cache, "-", profile, "--server", address, **pipes)
        stack.callback(process.kill)
        process.stdin.write(in_npy(images[0]))
        process.stdin.flush()
        wait_for(lambda: '"kind": "result"' in out.read_text())
        stack.enter_context(serving(tmp_path / "new.offramp", port=address.rpartition(":")[2]))
        wait_for(lambda: '"kind": "bundle"' in out.read_text())
        process.stdin.write(in_npy(images[0]))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert (lines[0]["bundle_origin"], lines[0]["digest"]) == ("cache", embedded.digest)
    assert [line["digest"] for line in lines if line["kind"] == "bundle"] == [new.digest]
    results = [line for line in lines if line["kind"] == "result"]
    assert [(line["id"], line["status"] in ("ok", "degraded")) for line in results] == [
        (0, True),
        (1, True),
    ]


def test_a_connection_that_breaks_is_gone_on_from(
    embedded, embedded_file, samples, profile, tmp_path
):
    outage = {"kind": "outage", "windows_s": [[1.0, 1.5], [2.5, 3.0]], "reset": True}
    chain = [{"kind": "rate", "bps": 16_000_000}, outage]
    with serving(embedded_file) as address, shaped(address, up=chain, down=chain) as link:
        opening = opening_of(device(tmp_path, samples, profile, "--server", link))
    assert opening["fetch_s"] > 3.0  # 4.6 MB take 2.3 s, and two outages in between
    assert opening["fetched_bytes"] == sum(fetched(tmp_path, embedded.digest).values())


def test_a_server_that_is_killed_and_started_again_is_gone_on_from(
    embedded, embedded_file, samples, profile, tmp_path
):
    with contextlib.ExitStack() as stack:
        with serving(embedded_file) as address:
            link = stack.enter_context(shaped(address, up=SLOW, down=SLOW))
            process = device(tmp_path, samples, profile, "--server", link)
            wait_for_bytes(tmp_path, 300_000)
        with serving(embedded_file, port=address.rpartition(":")[2]):
            opening = opening_of(process)
    assert opening["fetched_bytes"] == sum(fetched(tmp_path, embedded.digest).values())


def test_a_device_that_is_killed_goes_on_where_it_was(
    embedded, embedded_file, samples, profile, tmp_path
):
    with serving(embedded_file) as address:
        with shaped(address, up=SLOW, down=SLOW) as link:
            process = device(tmp_path, samples, profile, "--server", link)
            wait_for_bytes(tmp_path, 300_000)
            process.kill()
            process.communicate()
        before = sum(fetched(tmp_path, embedded.digest).values())
        opening = opening_of(device(tmp_path, samples, profile, "--server", address))
    whole = sum(fetched(tmp_path, embedded.digest).values())
    assert 0 < opening["fetched_bytes"] == whole - before < whole


def test_two_devices_that_share_a_cache_fetch_once(
    embedded, embedded_file, samples, profile, tmp_path
):
    chain = [{"kind": "rate", "bps": 16_000_000}]
    with serving(embedded_file) as address, shaped(address, up=chain, down=chain) as link:
        devices = [device(tmp_path, samples, profile, "--server", link) for _ in range(2)]
        openings = [opening_of(process) for process in devices]
    whole = sum(fetched(tmp_path, embedded.digest).values())
    assert sorted(opening["fetched_bytes"] for opening in openings) == [0, whole]


def test_of_several_models_one_is_chosen_by_name(
    embedded, embedded_file, samples, profile, tmp_path
):
    other = renamed(embedded, tmp_path / "other.offramp", "other digits")
    with serving(embedded_file, tmp_path / "other.offramp") as address:
        server = ("--server", address)
        status, said = refused(device(tmp_path / "cache", samples, profile, *server))
        assert status == 4
        assert "name one of these with --model: 'cluttered_digits', 'other digits'" in said
        process = device(tmp_path / "cache", samples, profile, *server, "--model", "other digits")
        status, said = refused(process)  # the profile is the other bundle's
        assert status == 8
        assert list((tmp_path / "cache").glob(other.digest))


@pytest.mark.parametrize("fault", ["altered", "longer", "newer"])
def test_what_a_server_sends_wrong_is_refused_in_one_sentence(
    fault, embedded_file, samples, profile, tmp_path
):
    """The server's files change after it has opened them."""
    folder, cache = tmp_path / "bundle", tmp_path / "cache"
    with zipfile.ZipFile(embedded_file) as archive:
        archive.extractall(folder)
    weights = folder / "segments/06/weights.safetensors"
    size = weights.stat().st_size
    with serving(folder) as address:
        if fault == "altered":
            data = bytearray(weights.read_bytes())
            data[-1] ^= 1
            weights.write_bytes(data)
        elif fault == "longer":
            weights.write_bytes(weights.read_bytes() + b"!")
        else:
            text = (folder / MANIFEST).read_text()
            (folder / MANIFEST).write_text(text.replace('"format":1', '"format":2'))
        status, said = refused(device(cache, samples, profile, "--server", address))
    words = {
        "altered": "segments/06/weights.safetensors: does not match its digest",
        "longer": f"segments/06/weights.safetensors: more bytes come than the {size} ",
        "newer": "manifest.json: does not match its digest",
    }
    assert (status, words[fault] in said) == (4, True), said
    assert not [path for path in cache.rglob("*") if path.name.endswith(".partial")]
    assert not list(cache.rglob("06/weights.safetensors"))


def test_a_cache_that_is_too_small_and_a_disk_that_is_full_are_told(
    embedded_file, samples, profile, tmp_path
):
    (tmp_path / "small.yaml").write_text("cache_limit_bytes: 2000000\n")
    with serving(embedded_file) as address:
        options = ("--server", address, "--settings", tmp_path / "small.yaml")
        status, said = refused(device(tmp_path / "cache", samples, profile, *options))
        assert (status, "raise cache_limit_bytes (now 2000000)" in said) == (4, True)
        shutil.rmtree(tmp_path / "cache")
        (tmp_path / "cache").write_text("in the way")
        status, said = refused(device(tmp_path / "cache", samples, profile, "--server", address))
        assert (status, "cannot be written" in said) == (4, True)


def test_a_new_file_is_served_after_a_hangup_and_fetched_by_the_next_run(
    embedded, embedded_file, samples, tmp_path, profile
):
    path = tmp_path / "served.offramp"
    shutil.copy(embedded_file, path)
    with started(path, log=subprocess.PIPE) as (process, address):
        opening_of(device(tmp_path / "cache", samples, profile, "--server", address))
        new = renamed(embedded, tmp_path / "new.offramp", "new digits")
        (tmp_path / "new.offramp").rename(path)
        process.send_signal(signal.SIGHUP)
        said = [process.stderr.readline() for _ in range(3)]
        assert ["still serving" in line for line in said[1:]] == [True, False]
        status, _ = refused(device(tmp_path / "cache", samples, profile, "--server", address))
        assert status == 8  # the new bundle came, and the profile is the old one's
        assert (tmp_path / "cache" / new.digest / MANIFEST).exists()


def test_a_new_bundle_is_taken_up_while_samples_stream_and_none_is_lost(
    embedded, embedded_file, tmp_path, profile
):
    """Samples come until thirty were answered after the change; answers tell by which model."""
    images, _ = load("test", 100)
    path, out = tmp_path / "served.offramp", tmp_path / "out.jsonl"
    shutil.copy(embedded_file, path)
    new = shifted(embedded, tmp_path / "new.offramp")
    with contextlib.ExitStack() as stack:
        server, address = stack.enter_context(started(path))
        options = ("--server", address, "--strategy", "server_only", "--deadline-ms", 10_000)
        pipes = {"stdin": subprocess.PIPE, "stdout": stack.enter_context(out.open("wb"))}
        process = device(tmp_path / "cache", "-", profile, *options, **pipes)
        stack.callback(process.kill)
        sent, changed = 0, None
        while changed is None or sent < changed + 30:
            assert sent < 2000, "the new bundle was not taken up"
            process.stdin.write(in_npy(images[sent % 100]))
            sent += 1
            time.sleep(0.04)
            if sent == 30:
                (tmp_path / "new.offramp").rename(path)
                server.send_signal(signal.SIGHUP)
            if changed is None and '"kind": "bundle"' in out.read_text():
                changed = sent
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    (taken,) = [line for line in lines if line["kind"] == "bundle"]
    assert taken["digest"] == new.digest
    results = sorted((r for r in lines if r["kind"] == "result"), key=lambda r: r["id"])
    assert [r["id"] for r in results] == list(range(sent))
    assert {r["status"] for r in results} <= {"ok", "degraded"}
    network = Network(embedded)
    whole = network.run(0, network.depth, [images])[0].argmax(axis=1)
    is_new = [bool((r["answer"] - whole[r["id"] % 100]) % 10 == 1) for r in results]

    def wrong(at):
        """How many answers are not the one model's before ``at`` and the other's from there on."""
        return sum(is_new[:at]) + is_new[at:].count(False)

    old = min(range(sent + 1), key=wrong)
    assert 30 <= old <= sent - 30
    assert wrong(old) <= sent / 20  # what a lossy level changes
    assert "server" in {r["by"] for r in results[old:]}
