"""Renewal with a server in memory: what is announced is deployed, or refused with a reason."""

from __future__ import annotations

import threading
import time

import pytest

from device import deployment as deployment_module
from device import fetch, renewal
from device.deployment import deploy, same_shape, succeed
from device.obtain import Supplier
from device.renewal import Renewal
from device.security import SecuritySettings
from device.settings import AgentSettings
from offramp.address import Address
from offramp.backends import BACKENDS
from offramp.bundle import Manifest, open_bundle, write_bundle
from offramp.bundle.cache import Cache
from offramp.catalogue import Catalogue, Offer
from offramp.errors import BundleError, LinkError
from partitioner.measure import measure_profile
from partitioner.remembered import recall

pytestmark = pytest.mark.timed

SETTINGS = AgentSettings(server="edge:1", slowdown=2)

SERVER = Address("edge", 1)


@pytest.fixture(scope="module")
def bundles(tiny, tmp_path_factory):
    """The tiny bundle, and others that differ from it as their names say."""
    home = tmp_path_factory.mktemp("renewed")
    fields = {name: getattr(tiny.manifest, name) for name in Manifest.model_fields}
    files = {name: tiny.path(name).read_bytes() for name in fields.pop("files")}
    weights = "segments/00/weights.safetensors"
    first, *others = fields["segments"]
    heavier = first.model_copy(update={"macs": first.macs + 1})
    altered = bytearray(files[weights])
    altered[-1] ^= 1
    image, *deeper = fields["boundaries"]
    other_input = image.model_copy(
        update={"tensors": tuple(replaced(tensor) for tensor in image.tensors)}
    )
    made = {
        "retrained": (fields, {**files, weights: bytes(altered)}),
        "heavier": ({**fields, "segments": (heavier, *others)}, files),
        "other input": ({**fields, "boundaries": (other_input, *deeper)}, files),
        "broken": (fields, {**files, "segments/00/model.onnx": b"no model"}),
    }
    for name, (its_fields, its_files) in made.items():
        write_bundle(home / f"{name}.offramp", its_fields, its_files)
    return {"tiny": tiny} | {name: open_bundle(home / f"{name}.offramp") for name in made}


def replaced(tensor):
    return type(tensor)(tensor.name, tensor.dtype, (9, *tensor.shape[1:]))


@pytest.fixture(scope="module")
def deployment(tiny):
    here = measure_profile(tiny, [("onnxruntime", 1)], rounds=2)
    return deploy(tiny, here.slowed(2), here)


class Depot:
    """Stands for `device.depot.Depot`: sends the files of ``held``, or breaks ``broken`` times."""

    held, broken, asked = {}, 0, []

    def __init__(self, address, security):
        pass

    def read(self, request):
        type(self).asked.append(request)
        if type(self).broken:
            type(self).broken -= 1
            raise LinkError("the connection broke")
        bundle = self.held[request.digest]
        data = (bundle.folder / (request.path or "manifest.json")).read_bytes()
        end = request.offset_bytes + request.max_bytes if request.max_bytes else None
        yield data[request.offset_bytes : end]

    def close(self):
        pass


class Taker:
    def __init__(self):
        self.busy = False
        self.took, self.refused = [], []
        self.happened = threading.Event()

    def on_deployed(self, deployment):
        self.took.append(deployment)
        self.happened.set()

    def on_refused(self, offer, reason):
        self.refused.append((offer.digest, reason))
        self.happened.set()


def offer(bundle, **fields):
    return Offer(bundle.digest, "tiny", manifest_bytes=bundle.manifest_bytes, **fields)


@pytest.fixture
def follow(deployment, bundles, monkeypatch, tmp_path):
    """Return a renewal that follows a server with all bundles, and who takes what it brings."""
    monkeypatch.setattr(renewal, "Depot", Depot)
    monkeypatch.setattr(renewal, "_AGAIN_S", 0.05)
    monkeypatch.setattr(fetch, "PATIENCE_S", 0.05)
    monkeypatch.setattr(Depot, "held", {bundle.digest: bundle for bundle in bundles.values()})
    monkeypatch.setattr(Depot, "asked", [])
    cache = Cache(tmp_path / "cache")
    supplier = Supplier((SERVER,), SecuritySettings(), None, cache, [BACKENDS["onnxruntime"]])
    following, taker = Renewal(deployment, SETTINGS, supplier), Taker()
    following.start(taker)
    yield following, taker, supplier
    following.close(5.0)


def announce(follow, *offers):
    following, taker, _ = follow
    following.announced(SERVER, Catalogue(offers))
    assert taker.happened.wait(20)
    taker.happened.clear()


def test_what_takes_the_bundles_place_is_fetched_and_deployed(follow, bundles, deployment):
    new = bundles["retrained"]
    announce(follow, offer(bundles["tiny"], superseded=True), offer(new))
    _, taker, supplier = follow
    (taken,) = taker.took
    assert taken.bundle.digest == taken.head.network.bundle.digest == new.digest
    assert supplier.recall().digest == new.digest
    assert max(request.max_bytes for request in Depot.asked) <= 1 << 20
    assert min(request.max_bytes for request in Depot.asked) > 0


def test_what_is_announced_again_is_not_taken_again(follow, bundles):
    announce(follow, offer(bundles["retrained"]))
    following, taker, _ = follow
    asked = len(Depot.asked)
    following.announced(SERVER, Catalogue((offer(bundles["retrained"]),)))
    announce(follow, offer(bundles["heavier"]))
    assert [d.bundle.digest for d in taker.took] == [
        bundles["retrained"].digest,
        bundles["heavier"].digest,
    ]
    assert {request.digest for request in Depot.asked[asked:]} == {bundles["heavier"].digest}


def test_other_names_and_the_same_digest_are_left_alone(follow, bundles):
    following, _, _ = follow
    other = Offer("ab" * 32, "another model", manifest_bytes=10)
    following.announced(SERVER, Catalogue((offer(bundles["tiny"]), other)))
    time.sleep(0.2)
    assert Depot.asked == []


def test_a_broken_connection_is_tried_again(follow, bundles, monkeypatch):
    monkeypatch.setattr(Depot, "broken", 2)
    announce(follow, offer(bundles["retrained"]))
    assert len(follow[1].took) == 1


@pytest.mark.parametrize(
    ("name", "said"), [("other input", "takes other inputs"), ("broken", "ONNX Runtime refuses it")]
)
def test_what_cannot_run_here_is_refused_once_and_the_next_one_taken(follow, bundles, name, said):
    announce(follow, offer(bundles[name]))
    _, taker, _ = follow
    ((digest, reason),) = taker.refused
    assert digest == bundles[name].digest
    assert said in reason
    announce(follow, offer(bundles["retrained"]))
    assert len(taker.refused) == len(taker.took) == 1


def test_pieces_wait_for_samples(follow, bundles):
    following, taker, _ = follow
    taker.busy = True
    following.announced(SERVER, Catalogue((offer(bundles["retrained"]),)))
    time.sleep(0.08)
    assert Depot.asked == []
    taker.busy = False
    assert taker.happened.wait(20)


def test_the_end_of_the_run_ends_a_fetch(follow, bundles):
    following, taker, _ = follow
    taker.busy = True
    following.announced(SERVER, Catalogue((offer(bundles["retrained"]),)))
    while not Depot.asked:  # a tenth of a second, while samples wait
        time.sleep(0.01)
    following.close(5.0)
    assert taker.took == []
    assert not following._thread.is_alive()


def test_the_end_of_the_run_does_not_wait_for_a_stalled_server(follow, bundles, monkeypatch):
    following, _, _ = follow
    stalled, closed = threading.Event(), threading.Event()

    def read(self, request):
        stalled.set()
        assert closed.wait(20)
        raise LinkError("cancelled")

    monkeypatch.setattr(Depot, "read", read)
    monkeypatch.setattr(Depot, "close", lambda self: closed.set())
    following.announced(SERVER, Catalogue((offer(bundles["retrained"]),)))
    assert stalled.wait(10)
    started_s = time.monotonic()
    following.close(10.0)
    assert not following._thread.is_alive()
    assert time.monotonic() - started_s < 5.0


def test_profiles_are_taken_over_where_only_weights_differ(bundles, deployment):
    assert same_shape(bundles["tiny"].manifest, bundles["retrained"].manifest)
    assert not same_shape(bundles["tiny"].manifest, bundles["heavier"].manifest)
    taken = succeed(deployment, bundles["retrained"], SETTINGS)
    assert taken.planner.device.head == deployment.planner.device.head
    assert taken.planner.device.digest == bundles["retrained"].digest
    measured = succeed(deployment, bundles["heavier"], SETTINGS)
    assert measured.planner.device.head != deployment.planner.device.head
    assert measured.planner.device.slowdown == SETTINGS.slowdown
    with pytest.raises(BundleError, match="start the device again"):
        succeed(deployment, bundles["other input"], SETTINGS)


def test_the_end_of_the_run_ends_a_measurement_and_leaves_none(follow, bundles, monkeypatch):
    following, taker, _ = follow
    monkeypatch.setenv("OFFRAMP_CACHE", str(follow[2].cache.folder))
    begun = threading.Event()

    def endless(bundle, runners, **options):
        begun.set()
        return measure_profile(bundle, runners, **{**options, "rounds": 1_000_000})

    monkeypatch.setattr(deployment_module, "measure_profile", endless)
    following.announced(SERVER, Catalogue((offer(bundles["heavier"]),)))
    assert begun.wait(20)
    following.close(10.0)
    assert not following._thread.is_alive()
    assert taker.took == taker.refused == []
    assert recall(bundles["heavier"], None, None) is None
