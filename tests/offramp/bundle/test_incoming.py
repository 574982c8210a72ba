"""A file as it comes in: any cut into pieces is the same file, and nothing else passes."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.bundle import FileEntry
from offramp.bundle.incoming import Incoming
from offramp.errors import BundleError


def entry_of(data: bytes) -> FileEntry:
    return FileEntry(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_pieces_of_a_file_are_the_file(data: bytes, cuts: list[int]) -> None:
    incoming = Incoming("f.bin", entry_of(data))
    marks = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for first, last in itertools.pairwise(marks):
        assert incoming.missing_bytes == len(data) - first
        incoming.take(data[first:last])
    incoming.check()
    assert incoming.sound


@given(st.binary(min_size=1, max_size=50), st.data())
def test_an_altered_byte_is_refused(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    incoming = Incoming("f.bin", entry_of(data))
    incoming.take(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert not incoming.sound
    with pytest.raises(BundleError, match=r"f\.bin: does not match its digest"):
        incoming.check()


def test_a_byte_too_many_is_refused_before_it_is_taken() -> None:
    incoming = Incoming("f.bin", entry_of(b"abc"))
    incoming.take(b"ab")
    with pytest.raises(BundleError, match="more bytes come than the 3"):
        incoming.take(b"cd")
    assert incoming.received_bytes == 2


def test_a_file_that_ends_early_is_not_whole() -> None:
    incoming = Incoming("f.bin", entry_of(b"abc"))
    incoming.take(b"ab")
    with pytest.raises(BundleError, match="2 bytes of 3"):
        incoming.check()
