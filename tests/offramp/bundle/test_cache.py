"""The cache: shared by processes, limited in size, and never emptied under its users' feet."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from offramp.bundle import FileEntry
from offramp.bundle import cache as cache_module
from offramp.bundle.cache import Cache
from offramp.errors import BundleError

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", limit_bytes=10_000)


def put(cache: Cache, digest: str, size: int, used_s: float | None = None) -> None:
    """Put a file into a bundle's folder, as if it had been used at ``used_s``."""
    lease = cache.lease(digest)
    lease.partial("file.bin").write_bytes(bytes(size))
    lease.keep("file.bin")
    if used_s is not None:
        os.utime(cache.folder / ".locks" / f"{digest}.use", (used_s, used_s))
    lease.release()


def held(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir() if path.name != ".locks")


def test_a_file_is_there_once_it_is_kept_and_whole(cache: Cache) -> None:
    data = b"hello"
    entry = FileEntry(bytes=5, sha256=hashlib.sha256(data).hexdigest())
    lease = cache.lease(A)
    lease.partial("deep/file.bin").write_bytes(data)
    assert not lease.holds("deep/file.bin", entry)
    lease.keep("deep/file.bin")
    assert lease.holds("deep/file.bin", entry)
    (lease.folder / "deep/file.bin").write_bytes(b"hallo")
    assert not lease.holds("deep/file.bin", entry)
    lease.discard(["deep/file.bin"])
    assert held(cache) == []


def test_the_least_recently_used_bundles_make_room(cache: Cache) -> None:
    for digest, used_s in ((A, 20.0), (B, 10.0), (C, 30.0)):
        put(cache, digest, 3000, used_s)
    cache.reserve(1000)
    assert held(cache) == [A, B, C]
    cache.reserve(1001)
    assert held(cache) == [A, C]
    cache.lease(A).release()  # A is the more recent one now
    cache.reserve(5000)
    assert held(cache) == [A]
    assert {path.name for path in (cache.folder / ".locks").iterdir()} == {
        "cache", f"{A}.use"
    }  # fmt: skip


def test_what_is_in_use_is_never_evicted(cache: Cache) -> None:
    put(cache, A, 6000, 10.0)
    lease = cache.lease(A)
    put(cache, B, 3000, 20.0)
    with pytest.raises(BundleError, match=r"6001 bytes more, which is 2001 over the limit"):
        cache.reserve(6001, strict=True)
    assert held(cache) == [A, B]
    cache.reserve(6001)
    assert held(cache) == [A]
    lease.release()
    cache.reserve(6001)
    assert held(cache) == []


@pytest.mark.e2e
def test_another_process_keeps_its_bundle_too_until_it_dies(cache: Cache) -> None:
    put(cache, A, 6000)
    code = (
        "import sys; from pathlib import Path; from offramp.bundle.cache import Cache\n"
        "lease = Cache(Path(sys.argv[1])).lease(sys.argv[2]); print('leased', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(cache.folder), A],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"leased\n"
        cache.reserve(9000)
        assert held(cache) == [A]
        process.kill()
    cache.reserve(9000)
    assert held(cache) == []


def test_a_lease_ends_with_its_last_reference(cache: Cache) -> None:
    put(cache, A, 6000)
    lease = cache.lease(A)
    del lease
    cache.reserve(9000)
    assert held(cache) == []


def test_a_bundle_larger_than_the_disk_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit_bytes=1 << 62)
    with pytest.raises(BundleError, match=r"the disk has \d+; free some space"):
        cache.reserve(1 << 61, strict=True)


def test_one_writes_and_the_next_waits_as_long_as_that_gets_on(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_STALLED_S", 0.3)
    said: list[str] = []

    def wait() -> None:
        with cache.lease(A).writing():
            said.append("second")

    with cache.lease(A).writing() as _, cache.lease(A).partial("file.bin").open("wb") as file:
        second = threading.Thread(target=wait)
        second.start()
        for _ in range(8):  # longer than a writer that stands still is waited for
            time.sleep(0.1)
            file.write(b"more")
            file.flush()
        said.append("first")
    second.join(5)
    assert said == ["first", "second"]


def test_a_writer_that_stands_still_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_STALLED_S", 0.1)
    with (
        cache.lease(A).writing(),
        pytest.raises(BundleError, match=rf"{A}\.write: another process .* does not get on"),
        cache.lease(A).writing(),
    ):
        pass
