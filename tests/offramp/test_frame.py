"""A frame is read back as it was written, and anything else is refused for a named reason."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import FrameError, InputError
from offramp.frame import Frame, pack, unpack
from offramp.tensors import DTYPES

LIMIT_BYTES = 1 << 20

# magic, version, codec 1, dtype 2 (uint8), two sides: 2 and 3; six bytes; checksum
GOLDEN = bytes.fromhex("9c46 01 01 02 02 02 03 06 010203040506 7e498fc8")


def sealed(body: bytes) -> bytes:
    """Return ``body`` with the checksum that belongs to it."""
    return body + struct.pack("<I", zlib.crc32(body))


def header(**changed: int) -> bytes:
    fields = {"version": 1, "codec_id": 1, "dtype": 2, "dimensions": 2} | changed
    return b"\x9cF" + bytes(fields.values())


def reason(data: bytes, limit_bytes: int = LIMIT_BYTES) -> str:
    with pytest.raises(FrameError) as caught:
        unpack(data, limit_bytes=limit_bytes)
    return str(caught.value)


def test_golden_bytes() -> None:
    frame = Frame(1, "uint8", (2, 3), bytes([1, 2, 3, 4, 5, 6]))
    assert pack(frame).hex() == GOLDEN.hex()
    assert unpack(GOLDEN, limit_bytes=6) == frame


shapes = st.lists(st.integers(1, 9), max_size=8).filter(lambda sides: len(sides) < 6).map(tuple)


@given(st.integers(0, 255), st.sampled_from(DTYPES), shapes, st.binary(max_size=300))
def test_what_is_packed_is_unpacked(codec_id, dtype, shape, payload) -> None:
    frame = Frame(codec_id, dtype, shape, payload)
    assert unpack(pack(frame), limit_bytes=LIMIT_BYTES) == frame


def test_header_of_three_dimensions_takes_at_most_24_bytes() -> None:
    large = Frame(255, "float32", (1 << 14, 1 << 7, 1 << 7), b"")
    assert len(pack(large)) <= 20
    payload = bytes(2500)
    assert len(pack(Frame(20, "float32", (64, 12, 12), payload))) == len(payload) + 15


def test_payload_is_a_view_and_not_a_copy() -> None:
    data = bytearray(GOLDEN)
    payload = unpack(memoryview(data), limit_bytes=6).payload
    data[9] = 77
    assert payload[0] == 77


def test_a_tensor_may_have_no_sides() -> None:
    frame = Frame(1, "int64", (), bytes(8))
    assert unpack(pack(frame), limit_bytes=8) == frame


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "frame is too short: 0 bytes"),
        (GOLDEN[:10], "frame is too short: 10 bytes"),
        (b"PK" + GOLDEN[2:], "frame has the wrong magic: 504b"),
        (sealed(header(version=2) + b"\2\3\6" + bytes(6)), "frame has format version 2"),
        (sealed(header(version=0) + b"\2\3\6" + bytes(6)), "frame has format version 0"),
        (sealed(header(dtype=8) + b"\2\3\6" + bytes(6)), "frame has an unknown dtype: code 8"),
        (sealed(header(dimensions=9) + bytes([1] * 9) + b"\1\0"), "frame has too many dimensions"),
        (sealed(header() + b"\2\0\6" + bytes(6)), "frame has a side of zero"),
        (sealed(header() + b"\2\x80\x80\x40\6" + bytes(6)), "frame is over the limit"),
        (sealed(header() + b"\2\3\7" + bytes(6)), "frame is cut short: 6 payload bytes of 7"),
        (sealed(header() + b"\2\3\5" + bytes(6)), "frame has trailing bytes: 1"),
        (GOLDEN + b"\0", "frame has trailing bytes: 1"),
        (GOLDEN[:-1], "frame is cut short: 5 payload bytes of 6"),
        (sealed(header(dimensions=8) + b"\2\3\6"), "frame is cut short: it ends within its header"),
        (sealed(header() + b"\x82\0\3\6" + bytes(6)), "frame has a malformed number"),
        (sealed(header() + b"\2\3\xff\xff\xff\xff\x1f"), "frame has a malformed number"),
        (sealed(header() + b"\2\3" + b"\xff" * 9), "frame has a malformed number"),
        (GOLDEN[:-1] + b"\0", "frame has the wrong checksum"),
        (GOLDEN[:10] + b"\xff" + GOLDEN[11:], "frame has the wrong checksum"),
    ],
)
def test_each_way_to_be_wrong_has_its_reason(data, expected) -> None:
    assert reason(data).startswith(expected)


def test_limit_counts_the_bytes_of_the_decoded_tensor() -> None:
    assert "takes 6 bytes, more than 5" in reason(GOLDEN, limit_bytes=5)


def test_element_count_cannot_overflow() -> None:
    huge = sealed(header(dimensions=8) + b"\xff\xff\xff\xff\x0f" * 8 + b"\0")
    assert reason(huge, limit_bytes=1 << 62).startswith("frame is over the limit")


def test_every_flipped_bit_is_noticed() -> None:
    for place in range(8 * len(GOLDEN)):
        flipped = bytearray(GOLDEN)
        flipped[place // 8] ^= 1 << place % 8
        reason(bytes(flipped))


@pytest.mark.parametrize(
    "frame",
    [
        Frame(1, "float64", (2,), b""),
        Frame(256, "uint8", (2,), b""),
        Frame(1, "uint8", (0,), b""),
        Frame(1, "uint8", (1,) * 9, b""),
        Frame(1, "uint8", (1 << 29,), b""),
    ],
)
def test_what_no_frame_holds_is_not_packed(frame) -> None:
    with pytest.raises(InputError):
        pack(frame)


@settings(max_examples=1000)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_frame_or_a_frame_error(body, as_body) -> None:
    data = sealed(b"\x9cF\x01" + body) if as_body else body
    try:
        frame = unpack(data, limit_bytes=LIMIT_BYTES)
    except FrameError:
        return
    assert pack(frame) == data
