"""A level that has to be loaded is not waited for: samples go losslessly until it is there."""

import subprocess
import sys
import threading

import pytest

from device.head import Head
from device.readiness import Readiness
from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import Bundle
from offramp.errors import BundleError
from offramp.network import Network
from partitioner.plan import Plan


def places(bundle, quick):
    """Return the cuts and levels that are quick, or those that are not."""
    return [
        (cut, level)
        for cut, boundary in enumerate(bundle.manifest.boundaries)
        for level in boundary.levels
        if all(codec.quick for codec in BundleCodecs.of(bundle).kinds(cut, level)) == quick
    ]


@pytest.fixture
def network(tiny) -> Network:
    return Network(tiny)


def test_quick_levels_are_there_at_once(network, tiny) -> None:
    readiness = Readiness(network)
    assert places(tiny, quick=True)
    for cut, level in places(tiny, quick=True):
        assert readiness.level(cut, level) == level


def test_others_are_replaced_until_they_are_loaded(network, tiny) -> None:
    readiness = Readiness(network)
    (cut, level), *_ = places(tiny, quick=False)
    assert readiness.level(cut, level) == "lossless"
    assert readiness._loading is not None
    readiness._loading.join(60)
    assert readiness.level(cut, level) == level


def test_what_is_asked_for_is_loaded_meanwhile(network, tiny) -> None:
    readiness = Readiness(network)
    (cut, level), *_ = places(tiny, quick=False)
    assert all(readiness.has(*place) for place in places(tiny, quick=True))
    assert not readiness.has(cut, level)
    assert readiness._loading is not None
    readiness._loading.join(60)
    assert readiness.has(cut, level)


def test_one_is_loaded_at_a_time_and_what_was_prepared_is_there(network, tiny) -> None:
    readiness = Readiness(network)
    first, second = places(tiny, quick=False)[:2]
    assert readiness.level(*first) == "lossless"
    thread = readiness._loading
    if thread.is_alive():
        assert readiness.level(*second) == "lossless"
        assert readiness._loading is thread
    thread.join(60)
    readiness.prepare(*second)
    assert readiness.level(*second) == second[1]


def test_what_is_expected_is_waited_for_so_long(network, tiny, monkeypatch) -> None:
    (cut, level), *_ = places(tiny, quick=False)
    readiness = Readiness(network)
    readiness.expect(cut, level, 60.0)
    assert readiness.level(cut, level) == level
    slow, goes_on = Readiness(network), threading.Event()
    monkeypatch.setattr(slow, "_load", lambda cut, level: goes_on.wait(10))
    slow.expect(cut, level, 0.01)
    assert slow.level(cut, level) == "lossless"
    goes_on.set()
    quick = places(tiny, quick=True)[0]
    Readiness(network).expect(*quick, 0.0)


def test_where_nothing_can_stand_in_it_is_waited_for(tiny) -> None:
    cut, level = places(tiny, quick=False)[0]
    boundaries = list(tiny.manifest.boundaries)
    levels = {level: boundaries[cut].levels[level]}
    boundaries[cut] = boundaries[cut].model_copy(update={"levels": levels})
    manifest = tiny.manifest.model_copy(update={"boundaries": tuple(boundaries)})
    alone = Network(Bundle(manifest, tiny.digest, tiny.folder))
    assert Readiness(alone).level(cut, level) == level


def test_a_head_tells_of_a_plan_whether_it_can_be_sent_by(tiny, quick_to_send) -> None:
    head = Head([Network(tiny)] * len(tiny.cuts), quick_to_send(tiny))
    (cut, level), *_ = places(tiny, quick=False)
    wanted = Plan(cut, level, "confidence", ())
    assert head.is_ready(Plan(max(tiny.cuts), None, "confidence", ()))
    assert not head.is_ready(wanted)
    head.expect(wanted, 60.0)
    assert head.is_ready(wanted)


LOADED = """
import sys
from pathlib import Path
from device.readiness import Readiness
from offramp.bundle import open_bundle
from offramp.network import Network
Readiness(Network(open_bundle(Path(sys.argv[1])))).prepare_quick()
print("numba" in sys.modules)
"""


def test_a_device_that_sends_by_quick_levels_alone_holds_no_compiled_loops(tiny_file, tiny) -> None:
    assert any(codecs.get(level).calibrated for _, level in places(tiny, quick=False))
    command = [sys.executable, "-c", LOADED, str(tiny_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_what_cannot_be_loaded_is_tried_once_and_told(network, tiny, monkeypatch, caplog) -> None:
    readiness, tried = Readiness(network), []

    def fail(cut: int, level: str, side: str) -> None:
        tried.append((cut, level))
        raise BundleError("codec.bin: it is cut off; compile the bundle again")

    monkeypatch.setattr(network, "prepare", fail)
    (cut, level), *_ = places(tiny, quick=False)
    for _ in range(3):
        assert not readiness.has(cut, level)
        if readiness._loading is not None:
            readiness._loading.join(60)
    assert tried == [(cut, level)]
    assert "cut off" in caplog.text
