"""Whatever arrives is decoded or refused with `FrameError`, in little memory."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from offramp import codecs
from offramp.codecs import zstd
from offramp.codecs.effect import square_error
from offramp.errors import FrameError
from offramp.frame import Frame, pack, pack_short, unpack
from offramp.tensors import TensorSpec

GIB = 1 << 30
LIMIT_BYTES = 1 << 20

rng = np.random.default_rng(3)
SAMPLES = np.maximum(rng.normal(size=(16, 3, 5, 7)), 0).astype("float32")
FEATURES = SAMPLES[0]
SEQUENCE = SAMPLES[0, 0]
PICTURE = (np.indices((12, 10)).sum(axis=0)[..., None] * [3, 5, 7]).astype("uint8")


def spec_of(sample) -> TensorSpec:
    return TensorSpec("x", sample.dtype.name, sample.shape)


def ready(name):
    """Return a codec that can code `FEATURES`: calibrated, if it has to be."""
    codec = codecs.get(name)
    if not codec.calibrated:
        return codec
    samples = SAMPLES if codec.supports(spec_of(FEATURES)) else SAMPLES[:, 0]
    return codec.fit(samples, square_error(samples))


ALL = [ready(name) for name in codecs.names()]
CALIBRATED = {codec.id: codec for codec in ALL if codec.calibrated}
RANGE_CODED = [codec for codec in CALIBRATED.values() if not codec.quick]


def sample_for(codec):
    every = (FEATURES, SEQUENCE, PICTURE)
    return next(sample for sample in every if codec.supports(spec_of(sample)))


def framed(codec, payload, spec) -> bytes:
    """Return a frame with a right checksum, whatever its payload."""
    if codec.calibrated:
        known = zlib.crc32(f"{spec.dtype} {spec.shape}".encode(), codec.fingerprint)
        return pack_short(codec.id, payload, known)
    return pack(Frame(codec.id, spec.dtype, spec.shape, payload))


def decode(data, spec):
    return codecs.decode(data, spec, limit_bytes=LIMIT_BYTES, calibrated=CALIBRATED)


def survive(data, spec) -> bool:
    """Tell whether ``data`` decodes; anything but a sample of the spec or a FrameError fails."""
    try:
        sample = decode(data, spec)
    except FrameError:
        return False
    assert sample.dtype == spec.dtype
    assert sample.shape == spec.shape
    return True


@st.composite
def damage(draw, valid: bytes) -> bytes:
    """Return ``valid`` with bits flipped, an end cut off, or a part replaced or repeated."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        other = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["flip", "cut", "splice", "insert", "overwrite"]))
        if kind == "flip" and place < len(data):
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[place:]
        elif kind == "splice":
            data[place:place] = data[other : other + draw(st.integers(0, 40))]
        else:
            noise = draw(st.binary(max_size=8))
            data[place : place + len(noise) * (kind == "overwrite")] = noise
    return bytes(data)


@settings(max_examples=1000)
@given(st.binary(max_size=200), st.sampled_from([FEATURES, PICTURE]))
def test_random_bytes(data, sample) -> None:
    survive(data, spec_of(sample))


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), codec=st.sampled_from(ALL))
def test_damaged_frames(codec, data) -> None:
    sample = sample_for(codec)
    valid = codecs.encode(codec, sample)
    damaged = data.draw(damage(valid))
    assert survive(damaged, spec_of(sample)) == (damaged == valid)


@pytest.mark.parametrize("kind", dict.fromkeys(type(codec) for codec in ALL))
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_payloads_under_a_right_checksum(kind, data) -> None:
    """Codecs of one kind read payloads with the same code, so they share the examples."""
    codec = data.draw(st.sampled_from([codec for codec in ALL if type(codec) is kind]))
    sample = sample_for(codec)
    payload = data.draw(damage(codec.encode(sample)))
    survive(framed(codec, payload, spec_of(sample)), spec_of(sample))


@pytest.mark.parametrize("codec", ALL, ids=codecs.names())
class TestDamage:
    def test_every_truncated_frame_is_refused(self, codec) -> None:
        sample = sample_for(codec)
        data = codecs.encode(codec, sample)
        for length in range(len(data)):
            with pytest.raises(FrameError):
                decode(data[:length], spec_of(sample))

    def test_every_flipped_bit_is_refused(self, codec) -> None:
        sample = sample_for(codec)
        data = codecs.encode(codec, sample)
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(FrameError):
                decode(flipped, spec_of(sample))

    def test_a_frame_with_trailing_bytes_is_refused(self, codec) -> None:
        sample = sample_for(codec)
        data = codecs.encode(codec, sample)
        for tail in (b"\0", bytes(4), b"\xff\xd9", data):
            with pytest.raises(FrameError):
                decode(data + tail, spec_of(sample))

    def test_every_truncated_payload_is_refused(self, codec) -> None:
        """Of calibrated codecs the shorter payload may be another sample's."""
        sample = sample_for(codec)
        payload = codec.encode(sample)
        for length in range(len(payload)):
            found = survive(framed(codec, payload[:length], spec_of(sample)), spec_of(sample))
            assert codec.calibrated or not found

    def test_trailing_bytes_are_refused(self, codec) -> None:
        sample = sample_for(codec)
        payload = codec.encode(sample)
        for tail in (b"\0", b"\xff\xd9", payload):
            longer = payload + tail + bytes(1 + 4 * codec.calibrated)
            assert not survive(framed(codec, longer, spec_of(sample)), spec_of(sample))

    def test_payload_of_another_codec(self, codec) -> None:
        sample = sample_for(codec)
        for other in ALL:
            if sample_for(other) is sample:
                survive(framed(codec, other.encode(sample), spec_of(sample)), spec_of(sample))


@settings(max_examples=500, deadline=None)
@given(payload=st.binary(max_size=400), codec=st.sampled_from(list(CALIBRATED.values())))
def test_payloads_of_any_bytes(payload, codec) -> None:
    """Range decoders read on when a payload has ended, and must not read what is not theirs."""
    spec = spec_of(sample_for(codec))
    survive(framed(codec, payload, spec), spec)


@pytest.mark.parametrize("length", [4, 5, 40, 4_000])
@pytest.mark.parametrize("codec", RANGE_CODED, ids=lambda codec: codec.name)
def test_a_payload_beyond_the_last_interval_is_refused(codec, length) -> None:
    with pytest.raises(FrameError, match=f"payload of {length} bytes"):
        codec.decode(b"\xff" * length, spec_of(FEATURES))


@pytest.mark.parametrize("codec", CALIBRATED.values(), ids=lambda codec: codec.name)
def test_short_frames_that_do_not_fit(codec) -> None:
    sample = sample_for(codec)
    spec, turned = spec_of(sample), sample.shape[::-1]
    data = codecs.encode(codec, sample)
    with pytest.raises(FrameError, match="over the limit"):
        codecs.decode(data, spec, limit_bytes=spec.nbytes - 1, calibrated=CALIBRATED)
    for other in (TensorSpec("x", "float32", turned), TensorSpec("x", "float16", sample.shape)):
        with pytest.raises(FrameError, match="wrong checksum"):
            decode(data, other)
    for other in (TensorSpec("x", "float32", turned), TensorSpec("x", "int32", sample.shape)):
        with pytest.raises(FrameError):
            decode(framed(codec, codec.encode(sample), other), other)
    with pytest.raises(FrameError, match="not calibrated"):
        codecs.decode(data, spec, limit_bytes=spec.nbytes)
    with pytest.raises(FrameError, match="not calibrated"):
        decode(pack_short(codecs.get("raw").id, sample.tobytes(), 0), spec)
    with pytest.raises(FrameError, match="not a short one"):
        decode(pack(Frame(codec.id, "float32", sample.shape, b"")), spec)


def test_frame_of_a_codec_that_does_not_carry_the_tensor() -> None:
    payload = codecs.get("raw").encode(FEATURES)
    data = pack(Frame(codecs.get("png").id, "float32", FEATURES.shape, payload))
    with pytest.raises(FrameError, match="does not carry"):
        codecs.decode(data, spec_of(FEATURES), limit_bytes=LIMIT_BYTES)


def test_frame_of_an_unknown_codec() -> None:
    data = pack(Frame(0, "float32", FEATURES.shape, b""))
    with pytest.raises(FrameError, match="unknown codec"):
        codecs.decode(data, spec_of(FEATURES), limit_bytes=LIMIT_BYTES)


def test_bool_that_is_neither_zero_nor_one() -> None:
    spec = TensorSpec("x", "bool", (3,))
    with pytest.raises(FrameError, match="bool"):
        codecs.get("raw").decode(b"\0\1\2", spec)


def zeros_in_zstd(*, states_size: bool) -> bytes:
    """Return a frame of some 32 kB that expands to 1 GiB of zeros."""
    compressor = zstandard.ZstdCompressor(level=1)
    chunk = bytes(1 << 20)
    stream = compressor.compressobj(size=GIB if states_size else -1)
    return b"".join(stream.compress(chunk) for _ in range(1024)) + stream.flush()


def lying_about_its_size(bomb: bytes, size_bytes: int) -> bytes:
    """Return ``bomb``, which states 1 GiB in four bytes, with another size stated."""
    stated = struct.pack("<I", GIB)
    assert bomb.count(stated, 0, 16) == 1
    return bomb.replace(stated, struct.pack("<I", size_bytes), 1)


@pytest.fixture(scope="module")
def bombs() -> list[bytes]:
    honest = zeros_in_zstd(states_size=True)
    return [
        honest,
        zeros_in_zstd(states_size=False),
        lying_about_its_size(honest, FEATURES.nbytes),
        honest[:20],
    ]


def peak_bytes(call) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["lossless", "fp16", "affine8", "affine2"])
def test_decompression_bombs_take_no_memory(bombs, name) -> None:
    codec = codecs.get(name)
    ends = struct.pack("<ff", 0, 1) if name.startswith("affine") else b""

    def defuse() -> None:
        for bomb in bombs:
            with pytest.raises(FrameError):
                codec.decode(ends + bomb, spec_of(FEATURES))

    assert peak_bytes(defuse) < 500_000


def test_header_that_asks_for_a_gibibyte_takes_no_memory() -> None:
    body = b"\x9cF\x01\x02\x00\x01" + b"\x80\x80\x80\x80\x01" + b"\x00"
    data = body + struct.pack("<I", zlib.crc32(body))

    def refuse() -> None:
        with pytest.raises(FrameError, match="over the limit"):
            unpack(data, limit_bytes=LIMIT_BYTES)

    assert peak_bytes(refuse) < 100_000


@pytest.mark.parametrize(
    "frame",
    [
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(10)),
        zstd.compress(bytes(10)) + b"\0",
        zstd.compress(bytes(10)) * 2,
        zstd.compress(bytes(10))[:-1],
        zstd.compress(bytes(11)),
        b"\x50\x2a\x4d\x18\x0a\0\0\0" + bytes(10),  # a skippable frame of ten bytes
        b"",
    ],
)
def test_zstandard_frames_that_are_not_one_whole_frame_of_the_size(frame) -> None:
    with pytest.raises(FrameError):
        zstd.decompress(frame, 10)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def webp_that_claims(side: int) -> bytes:
    """Return a lossless WebP whose header says that it is ``side`` pixels wide and high."""
    payload = bytearray(codecs.get("webp_lossless").encode(PICTURE))
    struct.pack_into("<I", payload, 21, (side - 1) | (side - 1) << 14)
    return bytes(payload)


def png_that_claims(side: int) -> bytes:
    payload = bytearray(codecs.get("png").encode(PICTURE))
    struct.pack_into(">II", payload, 16, side, side)
    struct.pack_into(">I", payload, 29, zlib.crc32(payload[12:29]))
    return bytes(payload)


def jpeg_that_claims(side: int) -> bytes:
    payload = bytearray(codecs.get("jpeg75").encode(PICTURE))
    struct.pack_into(">HH", payload, payload.index(b"\xff\xc0") + 5, side, side)
    return bytes(payload)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("webp_lossless", webp_that_claims(16_000)),
        ("png", png_that_claims(30_000)),
        ("jpeg75", jpeg_that_claims(30_000)),
    ],
)
def test_pictures_that_claim_another_size_take_no_memory(name, payload) -> None:
    def refuse() -> None:
        with pytest.raises(FrameError):
            codecs.get(name).decode(payload, spec_of(PICTURE))

    assert peak_bytes(refuse) < 100_000


COLOUR = Image.fromarray(PICTURE)
CLEAR = COLOUR.convert("RGBA")
CLEAR.putalpha(100)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("png", saved(COLOUR, "PNG", dpi=(72, 72))),
        ("png", saved(COLOUR.convert("RGBA"), "PNG")),
        ("png", saved(COLOUR.convert("L"), "PNG")),
        ("png", saved(COLOUR.quantize(8), "PNG")),
        ("jpeg90", saved(COLOUR, "JPEG", progressive=True)),
        ("jpeg90", saved(COLOUR, "JPEG", comment="hello")),
        ("jpeg90", saved(COLOUR.convert("CMYK"), "JPEG")),
        ("jpeg90", saved(COLOUR.convert("L"), "JPEG")),
        ("webp90", saved(COLOUR, "WEBP", lossless=True)),
        ("webp_lossless", saved(COLOUR, "WEBP")),
        ("webp90", saved(COLOUR, "WEBP", xmp=b"<x/>")),
        ("webp_lossless", saved(CLEAR, "WEBP", lossless=True)),
        ("png", saved(COLOUR, "BMP")),
    ],
)
def test_pictures_with_more_or_other_than_the_pixels_are_refused(name, payload) -> None:
    with pytest.raises(FrameError):
        codecs.get(name).decode(payload, spec_of(PICTURE))


def test_large_noise_fits_a_jpeg() -> None:
    noise = (np.random.default_rng(0).integers(0, 2, (300, 300, 3)) * 255).astype("uint8")
    codec = codecs.get("jpeg90")
    assert codec.decode(codec.encode(noise), spec_of(noise)).shape == noise.shape
