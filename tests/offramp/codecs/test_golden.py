"""Frames that went out once decode for ever.

Add a line for a new codec; never change one. Only decoding is promised: encoders change from
one release of a library to the next.
"""

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_arrays

from offramp import codecs
from offramp.tensors import TensorSpec

FEATURES = TensorSpec("x", "float32", (2, 3))
VOLUME = TensorSpec("x", "float32", (2, 3, 4))
COLOUR = TensorSpec("x", "uint8", (4, 6, 3))
GREY = TensorSpec("x", "uint8", (5, 5))

EXACT = [[0, 0.5, 1], [0, 2, 7.5]]

FEATURE_FRAMES = {
    "raw": (
        "9c4601010002020318000000000000003f0000803f00000000000000400000f040ea7c795c",
        EXACT,
    ),
    "lossless": (
        "9c460102000202031d28b52ffd2018a500006800003f0000803f00400000f040020060ca05b09690b9c6",
        EXACT,
    ),
    "fp16": ("9c460103000202031528b52ffd200c61000000000038003c0000004080475c25aed2", EXACT),
    "affine8": (
        "9c4601180002020317000000000000f04028b52ffd20063100000011220044ff7e22b2fb",
        EXACT,
    ),
    "affine6": (
        "9c4601160002020317000000000000f04028b52ffd200631000000040800113f4c0b28ff",
        [[0, 0.4761904776096344, 0.9523809552192688], [0, 2.0238094329833984, 7.5]],
    ),
    "affine4": ("9c4601140002020314000000000000f04028b52ffd20031900001002f4d2bb150e", EXACT),
    "affine3": (
        "9c4601130002020314000000000000f04028b52ffd2003190000000172521606e5",
        [[0, 0, 1.0714285373687744], [0, 2.142857074737549, 7.5]],
    ),
    "affine2": (
        "9c4601120002020313000000000000f04028b52ffd2002110000000d4bcd976a",
        [[0, 0, 0], [0, 2.5, 7.5]],
    ),
}

PNG_COLOUR = """
nEYBIAIDBAYDW4lQTkcNChoKAAAADUlIRFIAAAAGAAAABAgCAAAAImbZFAAAACJJREFUeJxj/MUlwsDAwMDA0FaW
A2EwMWAARjhL5IQNTlUAzA4Dn10vyZUAAAAASUVORK5CYIJ6+3Em
"""
WEBP_LOSSLESS_COLOUR = """
nEYBIQIDBAYDSFJJRkZAAAAAV0VCUFZQOEwzAAAALwXAAAAfICQgZP/HSHYKCQg7bPQ/SAIBMiVChBDzH0DXpgY1
bRswfyflkiy3iP7H+w4DACWzVqo=
"""
WEBP90_GREY = """
nEYBIgICBQU6UklGRjIAAABXRUJQVlA4ICYAAACQAQCdASoFAAUAAMASJaQAAudZtgAA/vqjff+6IPx7jL+2gAAA
ACQmhrI=
"""
WEBP75_GREY = """
nEYBIwICBQU2UklGRi4AAABXRUJQVlA4ICIAAACQAQCdASoFAAUAAgA0JaQAAudZtgAA/uo69n82a/kv4AAAu5tX
/g==
"""
WEBP50_GREY = """
nEYBJAICBQU2UklGRi4AAABXRUJQVlA4ICIAAACQAQCdASoFAAUAAsBMJaQAAudZtgAA/tIPOaixm1QAAAAA82c3
TQ==
"""
JPEG90_GREY = """
nEYBJQICBQWzAf/Y/+AAEEpGSUYAAQEAAAEAAQAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwL
CgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU/8AACwgABQAFAQERAP/EABQAAQAAAAAAAAAAAAAAAAAA
AAf/xAAeEAAABAcAAAAAAAAAAAAAAAAAAQIGBwkVI0NR0f/aAAgBAQAAPwBjZEu6GtJK1rAno//ZDoJzBg==
"""
JPEG75_GREY = """
nEYBJgICBQWtAf/Y/+AAEEpGSUYAAQEAAAEAAQAA/9sAQwAIBgYHBgUIBwcHCQkICgwUDQwLCwwZEhMPFB0aHx4d
GhwcICQuJyAiLCMcHCg3KSwwMTQ0NB8nOT04MjwuMzQy/8AACwgABQAFAQERAP/EABQAAQAAAAAAAAAAAAAAAAAA
AAb/xAAbEAAABwEAAAAAAAAAAAAAAAAAAQUGBxQyov/aAAgBAQAAPwBKmxI362eCH//ZOlb07A==
"""
HALF_WEBP90_GREY = """
nEYBKAICBQU4UklGRjAAAABXRUJQVlA4ICQAAACQAQCdASoDAAMAAMASJaQAAudPjMAA/vhGgn/hAf38TeZAAABC
r75X
"""
HALF_WEBP75_GREY = """
nEYBKQICBQU0UklGRiwAAABXRUJQVlA4ICAAAACQAQCdASoDAAMAAgA0JaQAAudFrAAA/uJy/E+ChAAAAFvuwiA=
"""
HALF_PNG_GREY = """
nEYBKgICBQVNiVBORw0KGgoAAAANSUhEUgAAAAMAAAADCAAAAABzQ+pjAAAAFElEQVR4nGOUE+FnSRHhZzwrwg8A
CPIBv1dGKuYAAAAASUVORK5CYIIjwZDK
"""

IMAGE_FRAMES = {
    "png": (PNG_COLOUR, COLOUR),
    "webp_lossless": (WEBP_LOSSLESS_COLOUR, COLOUR),
    "webp90": (WEBP90_GREY, GREY),
    "webp75": (WEBP75_GREY, GREY),
    "webp50": (WEBP50_GREY, GREY),
    "jpeg90": (JPEG90_GREY, GREY),
    "jpeg75": (JPEG75_GREY, GREY),
    "half_webp90": (HALF_WEBP90_GREY, GREY),
    "half_webp75": (HALF_WEBP75_GREY, GREY),
    "half_png": (HALF_PNG_GREY, GREY),
}
# The libraries' own decoders may round otherwise from one release to the next.
LARGEST_ERROR = {
    "png": 0,
    "webp_lossless": 0,
    "half_webp90": 23,
    "half_webp75": 25,
    "half_png": 20,
}

# Their parameters, signed and sparse, stand in golden_context.safetensors.
CONTEXT_FRAMES = {
    ("context2", "signed"): "9d404d9bdc3c87ab8324c1bc10e695f8",
    ("context5", "signed"): "9d414d9bdc3c87ab8324c1bc2a9ad82d",
    ("context10", "signed"): "9d424d9bdc3c87ab8324c1bc0908ea33",
    ("context20", "signed"): "9d434d9bdc3c87ab8324c1bcb21b7359",
    ("context50", "signed"): "9d444d9bdc3c87ab8324c1bc90d6342d",
    ("context100", "signed"): "9d454d9bdc3c87ab8324c1bc40985d39",
    ("learned1", "signed"): "9d604d9bdc3c87ab8324c1bc07a8d82c",
    ("learned2", "signed"): "9d614d9bdc3c87ab8324c1bce855a72b",
    ("learned3", "signed"): "9d624d9bdc3c87ab8324c1bc0cd215f0",
    ("learned4", "signed"): "9d634d9bdc3c87ab8324c1bc36ae5825",
    ("learned5", "signed"): "9d644d9bdc3c87ab8324c1bc505a334e",
    ("context2", "sparse"): "9d40f65e7f953afe3eb20679e7",
    ("context5", "sparse"): "9d41f65e7f953afe3e69f06bc1",
    ("context10", "sparse"): "9d42f65e7f953afe3e9fab2bb2",
    ("context20", "sparse"): "9d43f65e7f953afe3e497426b2",
    ("context50", "sparse"): "9d44f65e7f953afe3eb970bfbe",
    ("context100", "sparse"): "9d45f65e7f953afe3e905b351f",
}
CONTEXT_SAMPLES = {
    "signed": (
        "86340ebfd7878a3ffc3fc73f9431ba3ccfacb1bcf8b0063dd1eb953d209506bf"
        "86340ebf6d48143f81a109bf63f10bbf83a518bf6c11903db2c9a63b247f0cbf"
        "a5aa323bc25ca0bcde3d1bbf599684bf21f789bf3b518b3f8a1c86bf0869e3c0"
    ),
    "sparse": (
        "495dae3fcf42193e495dae3fcf42193e6fc7d93d5886f53d5314c63fcf42193e"
        "cf42193ecf42193e6fc7d93d5886f53d1c48dd3f6fc7d93d1fd200427ffb223d"
        "ecc6d03dec6d3e40b37014415886f53d7ffb223decc6d03d76ab143ecf42193e"
    ),
}
# Their parameters, and what the frames decode to, stand in golden_quantisers.safetensors.
QUANTISER_FRAMES = {
    "channel8": ("9d3ac10000040a0c060606060404080404030404030404030202060200ae7dae3d"),
    "channel6": ("9d38c10000040a0c060606060404080404030404030404030202060200a2ca9324"),
    "channel4": ("9d36610000a46c664684444334442362023b5f1d54"),
    "channel3": ("9d3561000074676646744443344423620281d1982f"),
    "channel2": ("9d34310000ffffffffbf2e5146d0b7"),
    "coarse8": ("9d58fffca4cd6fc45f9aabe6aaf9aa7e6afeb8368e53b45f2a174fa77ae77ad1141cd422a0"),
    "coarse6": ("9d56fffcd7780bbbffffffffffffffffee93b4b61dfffffe3f6fef651a2fc256c76b"),
    "coarse4": ("9d54aeeb577aff5b85cf5fb40ca6ff82"),
    "coarse3": ("9d53a9adfcbcda0c8b84a9"),
    "coarse2": ("9d5282b94d1b1113ba13aa"),
}

# Their parameters, and what the frames decode to, stand in golden_tokens.safetensors.
TOKEN_FRAMES = {
    "tokens10": "9d705489aded7f82",
    "tokens20": "9d7154893c5669f5",
    "tokens50": "9d7254897406e581",
}

# A whole frame, and one with the change from it. Parameters, and what the second one decodes to,
# stand in golden_changes.safetensors.
CHANGE_FRAMES = {
    "context10": ("9d4207261b93f7eb69aaf60405", "9dc2921a3cf82c72"),
    "coarse4": ("9d546d61022e0a7a7ed65f", "9dd4a7687098348d"),
    "learned2": ("9d61e297c148266362f67076a57b9cf5", "9de1c4f62ca2dfa913"),
}


def image(spec: TensorSpec):
    if spec is GREY:
        return np.arange(0, 250, 10, "uint8").reshape(5, 5)
    pixels = np.zeros((4, 6, 3), "uint8")
    pixels[:2, :3] = (250, 10, 20)
    pixels[2:, 3:] = (20, 200, 60)
    pixels[:2, 3:] = 128
    return pixels


@pytest.mark.parametrize("name", FEATURE_FRAMES)
def test_features_of_yesterday(name) -> None:
    data, expected = FEATURE_FRAMES[name]
    found = codecs.decode(bytes.fromhex(data), FEATURES, limit_bytes=FEATURES.nbytes)
    assert found.tobytes() == np.array(expected, "float32").tobytes()


@pytest.mark.parametrize("name", IMAGE_FRAMES)
def test_images_of_yesterday(name) -> None:
    data, spec = IMAGE_FRAMES[name]
    found = codecs.decode(base64.b64decode(data), spec, limit_bytes=spec.nbytes)
    error = np.abs(found.astype(int) - image(spec)).max()
    assert error <= LARGEST_ERROR.get(name, 10)


def golden_parameters(kind):
    stored = load_arrays((Path(__file__).parent / "golden_context.safetensors").read_bytes())
    return {
        key.removeprefix(f"{kind}/"): array
        for key, array in stored.items()
        if key.startswith(f"{kind}/")
    }


@pytest.mark.parametrize(("name", "kind"), CONTEXT_FRAMES)
def test_calibrated_features_of_yesterday(name, kind) -> None:
    codec = codecs.get(name).with_parameters(golden_parameters(kind))
    data = bytes.fromhex(CONTEXT_FRAMES[name, kind])
    found = codecs.decode(data, VOLUME, limit_bytes=VOLUME.nbytes, calibrated={codec.id: codec})
    expected = np.frombuffer(bytes.fromhex(CONTEXT_SAMPLES[kind]), "<f4")
    assert found.tobytes() == expected.astype("float32").tobytes()


@pytest.mark.parametrize(("name", "kind"), CONTEXT_FRAMES)
def test_checksum_covers_what_is_not_sent(name, kind) -> None:
    unsent = name.encode()
    for parameter, array in sorted(golden_parameters(kind).items()):
        unsent += f"{parameter} {array.dtype.str} {array.shape}".encode() + array.tobytes()
    unsent += b"float32 (2, 3, 4)"
    data = bytes.fromhex(CONTEXT_FRAMES[name, kind])
    assert zlib.crc32(unsent + data[:-4]) == int.from_bytes(data[-4:], "little")


@pytest.mark.parametrize("name", QUANTISER_FRAMES)
def test_quantised_features_of_yesterday(name) -> None:
    stored = load_arrays((Path(__file__).parent / "golden_quantisers.safetensors").read_bytes())
    learnt = {
        key.partition("/")[2]: array
        for key, array in stored.items()
        if key.partition("/")[0] in (name, name[:-1]) and not key.endswith("/decoded")
    }
    codec, data = codecs.get(name).with_parameters(learnt), bytes.fromhex(QUANTISER_FRAMES[name])
    found = codecs.decode(data, VOLUME, limit_bytes=VOLUME.nbytes, calibrated={codec.id: codec})
    assert found.tobytes() == stored[f"{name}/decoded"].tobytes()


@pytest.mark.parametrize("name", TOKEN_FRAMES)
def test_sequences_of_yesterday(name) -> None:
    stored = load_arrays((Path(__file__).parent / "golden_tokens.safetensors").read_bytes())
    decoded, spec = stored.pop("decoded"), TensorSpec("x", "float32", (6, 4))
    learnt = {key.removeprefix("parameters/"): array for key, array in stored.items()}
    codec, data = codecs.get(name).with_parameters(learnt), bytes.fromhex(TOKEN_FRAMES[name])
    found = codecs.decode(data, spec, limit_bytes=spec.nbytes, calibrated={codec.id: codec})
    assert found.tobytes() == decoded.tobytes()


@pytest.mark.parametrize("name", CHANGE_FRAMES)
def test_changes_of_yesterday(name) -> None:
    stored = load_arrays((Path(__file__).parent / "golden_changes.safetensors").read_bytes())
    learnt = {
        key.removeprefix(f"{name}/"): array
        for key, array in stored.items()
        if key.startswith(f"{name}/") and not key.endswith("/decoded")
    }
    codec, reference = codecs.get(name).with_parameters(learnt), None
    for data in map(bytes.fromhex, CHANGE_FRAMES[name]):
        assert data[1] & 0x7F == codec.id
        assert bool(data[1] & 0x80) == (reference is not None)
        found, reference = codecs.decode_next(
            data,
            VOLUME,
            limit_bytes=VOLUME.nbytes,
            calibrated={codec.id: codec},
            reference=reference,
        )
    assert found.tobytes() == stored[f"{name}/decoded"].tobytes()


def test_each_golden_frame_names_its_codec() -> None:
    for name, (data, _) in FEATURE_FRAMES.items():
        assert bytes.fromhex(data)[3] == codecs.get(name).id
    for name, (data, _) in IMAGE_FRAMES.items():
        assert base64.b64decode(data)[3] == codecs.get(name).id
    for (name, _), data in CONTEXT_FRAMES.items():
        assert bytes.fromhex(data)[1] == codecs.get(name).id
    for name, data in QUANTISER_FRAMES.items():
        assert bytes.fromhex(data)[1] == codecs.get(name).id


def test_every_codec_has_golden_bytes() -> None:
    calibrated = {name for name, _ in CONTEXT_FRAMES}
    every = {*FEATURE_FRAMES, *IMAGE_FRAMES, *QUANTISER_FRAMES, *TOKEN_FRAMES, *calibrated}
    assert sorted(every) == sorted(codecs.names())
    learned = [name for name in calibrated if codecs.get(name).of_latents]
    assert len(CONTEXT_FRAMES) == 2 * len(calibrated) - len(learned)  # no latent is sparse
