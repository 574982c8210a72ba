"""Frames that went out once decode for ever.

Add a line for a new codec; never change one. Only decoding is promised: encoders change from
one release of a library to the next.
"""

import base64

import numpy as np
import pytest

from offramp import codecs
from offramp.tensors import TensorSpec

FEATURES = TensorSpec("x", "float32", (2, 3))
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

IMAGE_FRAMES = {
    "png": (PNG_COLOUR, COLOUR),
    "webp_lossless": (WEBP_LOSSLESS_COLOUR, COLOUR),
    "webp90": (WEBP90_GREY, GREY),
    "webp75": (WEBP75_GREY, GREY),
    "webp50": (WEBP50_GREY, GREY),
    "jpeg90": (JPEG90_GREY, GREY),
    "jpeg75": (JPEG75_GREY, GREY),
}
# The libraries' own decoders may round otherwise from one release to the next.
LARGEST_ERROR = {"png": 0, "webp_lossless": 0}


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


def test_each_golden_frame_names_its_codec() -> None:
    for name, (data, _) in FEATURE_FRAMES.items():
        assert bytes.fromhex(data)[3] == codecs.get(name).id
    for name, (data, _) in IMAGE_FRAMES.items():
        assert base64.b64decode(data)[3] == codecs.get(name).id


def test_every_codec_has_golden_bytes() -> None:
    assert sorted({**FEATURE_FRAMES, **IMAGE_FRAMES}) == sorted(codecs.names())
