"""Fetching without a network: a server in memory that breaks off, lies and stalls."""

import contextlib
import hashlib
import json
import resource
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device import fetch as fetch_module
from device.fetch import Fetch, open_fetched
from offramp.backends import BACKENDS
from offramp.bundle import MANIFEST, Boundary, Manifest, SegmentSpec
from offramp.bundle.archive import list_files
from offramp.bundle.cache import Cache
from offramp.bundle.manifest import encode_manifest
from offramp.catalogue import Offer
from offramp.errors import BundleError, LinkError
from offramp.tensors import TensorSpec

ENGINES = [BACKENDS["onnxruntime"]]
NOISE = np.random.default_rng(3)
FILES = {
    "segments/00/model.onnx": NOISE.bytes(700),
    "segments/00/weights.safetensors": NOISE.bytes(5000),
    "segments/00/program.json": NOISE.bytes(600),
    "calibration.safetensors": NOISE.bytes(900),
    "graph.json": b"{}",
}
PART = {
    "segments/00/model.onnx",
    "segments/00/weights.safetensors",
    "calibration.safetensors",
}


def manifest_of(files):
    boundaries = tuple(
        Boundary(tensors=(TensorSpec(name, "float32", (2,)),)) for name in ("in", "out")
    )
    segments = (SegmentSpec(folder="segments/00", macs=8, reads=("in",), makes=("out",)),)
    return Manifest(name="noise", boundaries=boundaries, segments=segments, files=list_files(files))


class Server:
    """Holds files, and says which spans of them it was asked for.

    ``fault`` may turn the chunks of a request into something else, or raise.
    """

    def __init__(self, files=FILES, manifest=None, fault=lambda request, chunks: chunks):
        self.files = dict(files)
        self.manifest = manifest or encode_manifest(manifest_of(files))[0]
        self.fault = fault
        self.asked = []
        self.sent_bytes = 0

    @property
    def offer(self):
        digest = hashlib.sha256(self.manifest).hexdigest()
        return Offer(digest, "noise", manifest_bytes=len(self.manifest))

    def read(self, request):
        assert request.digest == self.offer.digest
        self.asked.append((request.path, request.offset_bytes))
        data = self.files[request.path] if request.path else self.manifest
        rest = data[request.offset_bytes :]
        chunks = iter([rest[at : at + 256] for at in range(0, len(rest), 256)])
        for chunk in self.fault(request, chunks):
            self.sent_bytes += len(chunk)
            yield chunk


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


class Clock:
    """Stands for the module `time` in `device.fetch`: time passes in pauses, and as a test says."""

    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s

    def sleep(self, time_s):
        self.now_s += time_s


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fetch_module, "time", clock)
    return clock


def run(server, cache):
    return Fetch(server.read, cache, ENGINES).bundle(server.offer)


def left(cache):
    """Every file of bundles in the cache, whole or not."""
    return {
        str(path.relative_to(home))
        for home in cache.folder.iterdir()
        if not home.name.startswith(".")
        for path in home.rglob("*")
        if path.is_file()
    }


def check(bundle):
    for name in PART:
        assert bundle.path(name).read_bytes() == FILES[name]


def breaking(every):
    """Break the connection after so many chunks of each call."""

    def fault(request, chunks):
        for sent, chunk in enumerate(chunks):
            if sent == every:
                raise LinkError("the connection broke")
            yield chunk

    return fault


def test_the_part_of_the_engine_is_fetched_and_no_more(cache):
    server, seen = Server(), []
    fetch = Fetch(server.read, cache, ENGINES, lambda done, of: seen.append((done, of)))
    bundle = fetch.bundle(server.offer)
    check(bundle)
    assert left(cache) == {MANIFEST, *PART}
    assert server.asked == [("", 0), *((name, 0) for name in sorted(PART))]
    whole = sum(len(FILES[name]) for name in PART)
    assert seen[-1] == (whole, whole)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert fetch.fetched_bytes == whole + len(server.manifest) == server.sent_bytes
    with pytest.raises(BundleError, match=r"program\.json .* is not here"):
        bundle.path("segments/00/program.json")


def test_what_is_there_is_not_fetched_again(cache):
    run(Server(), cache)
    server = Server()
    check(run(server, cache))
    assert server.asked == []
    (cache.folder / server.offer.digest / "calibration.safetensors").write_bytes(b"damaged")
    check(run(server, cache))
    assert server.asked == [("calibration.safetensors", 0)]


@pytest.mark.parametrize("every", [1, 2, 7])
def test_a_broken_connection_is_gone_on_from_and_no_byte_comes_twice(every, cache):
    server = Server(fault=breaking(every))
    check(run(server, cache))
    assert server.sent_bytes == len(server.manifest) + sum(len(FILES[name]) for name in PART)
    weights = [at for name, at in server.asked if name == "segments/00/weights.safetensors"]
    assert weights == list(range(0, 5000, every * 256))


def test_another_run_goes_on_where_one_gave_up(cache):
    def cut(request, chunks):
        if request.offset_bytes >= 1024:
            raise LinkError("the connection broke")
        for sent, chunk in enumerate(chunks):
            if sent == 4:
                raise LinkError("the connection broke")
            yield chunk

    with pytest.raises(LinkError, match="the connection broke"):
        run(Server(fault=cut), cache)
    assert f"{'segments/00/weights.safetensors'}.partial" in left(cache)
    server = Server()
    check(run(server, cache))
    assert server.asked == [("segments/00/weights.safetensors", 1024)]
    assert left(cache) == {MANIFEST, *PART}


def dripping(clock, every_s, size, call_s=30.0):
    """Send so many bytes every so often, in calls that end after ``call_s``."""

    def fault(request, chunks):
        rest, end_s = b"".join(chunks), clock.now_s + call_s
        while rest or not size:
            if clock.now_s + every_s > end_s:
                clock.now_s = end_s
                raise LinkError("the call took too long")
            clock.now_s += every_s
            yield rest[:size]
            rest = rest[size:]

    return fault


@pytest.mark.parametrize(
    ("every_s", "size"),
    [(29.0, 1), (1.0, 0), (0.001, 0), (1.0, 1), (0.5, 16)],
    ids=["a byte a call", "nothing", "nothing all the time", "a byte a second", "256 bit/s"],
)
@pytest.mark.parametrize("call_s", [30.0, 1e9])
def test_a_server_that_sends_hardly_anything_is_given_up(every_s, size, call_s, cache, clock):
    big = Server(files=FILES | {"calibration.safetensors": NOISE.bytes(100_000)})
    big.fault = dripping(clock, every_s, size, call_s)
    with pytest.raises(LinkError, match=r"the call took too long|sends nothing of"):
        run(big, cache)
    assert 130.0 <= clock.now_s <= 160.0


def test_a_slow_link_brings_a_large_file(cache, clock):
    files = FILES | {"segments/00/weights.safetensors": NOISE.bytes(300_000)}
    server = Server(files=files)
    server.fault = dripping(clock, 29.0, 32 << 10)
    bundle = run(server, cache)
    assert (
        bundle.path("segments/00/weights.safetensors").read_bytes()
        == files["segments/00/weights.safetensors"]
    )
    assert clock.now_s > 100.0 + 9 * 29.0


def test_a_server_that_sends_nothing_is_given_up(cache, clock):
    with pytest.raises(LinkError, match=r"the server sends nothing of manifest\.json"):
        run(Server(fault=lambda request, chunks: iter(())), cache)
    assert 130.0 <= clock.now_s <= 131.0


def test_a_beginning_that_is_not_this_files_is_begun_anew_once(cache):
    lease = cache.lease(Server().offer.digest)
    lease.partial("calibration.safetensors").write_bytes(b"x" * 300)
    lease.partial("segments/00/model.onnx").write_bytes(b"x" * 9000)
    server = Server()
    check(run(server, cache))
    name = "calibration.safetensors"
    assert [asked for asked in server.asked if asked[0] == name] == [(name, 300), (name, 0)]


def alter(name, change):
    def fault(request, chunks):
        yield from map(change, chunks) if request.path == name else chunks

    return fault


FAULTS = {
    "altered": (
        alter("segments/00/weights.safetensors", lambda chunk: chunk[:-1] + b"?"),
        r"weights\.safetensors: does not match its digest",
    ),
    "too much": (
        alter("calibration.safetensors", lambda chunk: chunk * 2),
        r"calibration\.safetensors: more bytes come than the 900 that the manifest says",
    ),
    "manifest altered": (alter("", lambda chunk: chunk.swapcase()), "manifest.*its digest"),
    "manifest too long": (alter("", lambda chunk: chunk + b" "), "manifest.*more bytes come"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_altered_bytes_are_refused_and_nothing_half_written_remains(name, cache):
    fault, said = FAULTS[name]
    with pytest.raises(BundleError, match=said):
        run(Server(fault=fault), cache)
    assert not {file for file in left(cache) if file.endswith(".partial")}
    assert "segments/00/weights.safetensors" not in left(cache)
    check(run(Server(), cache))


def changed(change):
    plain = json.loads(Server().manifest)
    change(plain)
    return json.dumps(plain).encode()


def lie(size):
    def change(plain):
        plain["files"]["segments/00/weights.safetensors"]["bytes"] = size

    return changed(change)


MANIFESTS = {
    "newer format": (changed(lambda plain: plain.update(format=2)), "install a newer Offramp"),
    "no JSON": (b"\x00\xff" * 40, "not JSON"),
    "a name that climbs": (
        changed(lambda plain: plain["files"].update({"../x": plain["files"]["graph.json"]})),
        "not allowed",
    ),
    "no program for the engine": (
        changed(lambda plain: plain["files"].pop("segments/00/model.onnx")),
        "no head for onnxruntime; its heads are made for torch",
    ),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_is_of_no_use_leaves_nothing(name, cache):
    manifest, said = MANIFESTS[name]
    with pytest.raises(BundleError, match=said):
        run(Server(manifest=manifest), cache)
    assert left(cache) == set()


@pytest.mark.parametrize(
    ("size", "said"),
    [(4000, "more bytes come than the 4000"), (1 << 40, "bytes"), (1 << 30, "over the limit")],
)
def test_sizes_that_a_manifest_lies_about_are_refused(size, said, tmp_path):
    cache = Cache(tmp_path / "cache", limit_bytes=1 << 20)
    with pytest.raises(BundleError, match=said):
        run(Server(manifest=lie(size)), cache)
    assert not {file for file in left(cache) if "weights" in file}


def test_a_file_that_is_shorter_than_the_manifest_says_never_becomes_whole(cache):
    with pytest.raises(LinkError, match=r"sends nothing of segments/00/weights\.safetensors"):
        run(Server(manifest=lie(6000)), cache)
    assert "segments/00/weights.safetensors" not in left(cache)


@pytest.mark.parametrize("size", [0, 17 << 20])
def test_a_manifest_of_an_absurd_size_is_not_asked_for(size, cache):
    server = Server()
    offer = Offer(server.offer.digest, "noise", manifest_bytes=size)
    with pytest.raises(BundleError, match=f"with a manifest of {size} bytes"):
        Fetch(server.read, cache, ENGINES).bundle(offer)
    assert server.asked == []


def test_what_is_over_the_limit_is_refused_before_any_of_it_comes(tmp_path):
    cache = Cache(tmp_path / "cache", limit_bytes=6000)
    server = Server()
    with pytest.raises(BundleError, match="raise cache_limit_bytes"):
        run(server, cache)
    assert server.asked == [("", 0)]


@contextlib.contextmanager
def full_disk():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_the_file_in_question_is_gone(cache):
    with full_disk(), pytest.raises(BundleError, match=r"cannot be written .* free some space"):
        run(Server(), cache)
    assert left(cache) == {MANIFEST, *PART} - {"segments/00/weights.safetensors"}
    check(run(Server(), cache))


def test_what_was_fetched_is_opened_without_a_server(cache):
    digest = run(Server(), cache).digest
    check(open_fetched(cache, digest, ENGINES))
    with pytest.raises(BundleError, match="fetch the bundle again"):
        open_fetched(cache, digest, [BACKENDS["torch"]])
    (cache.folder / digest / MANIFEST).write_bytes(Server().manifest + b" ")
    with pytest.raises(BundleError, match=r"manifest\.json: does not match its digest"):
        open_fetched(cache, digest, ENGINES)
    with pytest.raises(BundleError, match="cannot be read"):
        open_fetched(cache, "0" * 64, ENGINES)


def test_two_that_fetch_at_once_fetch_once(cache):
    begun, may_go_on = threading.Event(), threading.Event()

    def slowly(request, chunks):
        begun.set()
        assert may_go_on.wait(10)
        yield from chunks

    first, second = Server(fault=slowly), Server()
    bundles = []
    threads = [
        threading.Thread(target=lambda server=server: bundles.append(run(server, cache)))
        for server in (first, second)
    ]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    may_go_on.set()
    for thread in threads:
        thread.join(10)
    for bundle in bundles:
        check(bundle)
    assert (len(bundles), second.asked) == (2, [])


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_whatever_the_server_does_a_bundle_is_whole_or_refused(data, tmp_path_factory):
    def fault(request, chunks):
        for chunk in chunks:
            match data.draw(st.sampled_from(["pass"] * 12 + ["break", "end", "more", "alter"])):
                case "pass":
                    yield chunk
                case "break":
                    raise LinkError("the connection broke")
                case "end":
                    return
                case "more":
                    yield chunk + b"!"
                case "alter":
                    yield bytes([chunk[0] ^ 1]) + chunk[1:]

    cache = Cache(tmp_path_factory.mktemp("any") / "cache")
    for _ in range(2):
        with contextlib.suppress(BundleError, LinkError):
            check(run(Server(fault=fault), cache))
    check(run(Server(), cache))
