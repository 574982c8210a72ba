"""The registry names every codec of the package, once."""

import importlib
import inspect
import pkgutil

import pytest

from offramp import codecs
from offramp.codecs import Codec
from offramp.errors import ConfigError, FrameError
from offramp.tensors import TensorSpec

CALIBRATED = (
    "channel8 channel6 channel4 channel3 channel2 "
    "context2 context5 context10 context20 context50 context100 "
    "coarse8 coarse6 coarse4 coarse3 coarse2 "
    "learned1 learned2 learned3 learned4 learned5"
)
TOKENS = " tokens10 tokens20 tokens50"
HALF = "half_webp90 half_webp75 half_png"
ALL = [codecs.get(name) for name in codecs.names()]


def test_public_names() -> None:
    assert codecs.__all__ == [
        "Codec",
        "CodedCodec",
        "Reference",
        "by_id",
        "decode",
        "decode_next",
        "encode",
        "encode_next",
        "get",
        "names",
        "supporting",
    ]


def test_names_and_ids_are_those_that_went_out() -> None:
    """Add a line for a new codec; never change one."""
    assert {codec.name: codec.id for codec in ALL} == {
        "raw": 1,
        "lossless": 2,
        "fp16": 3,
        "affine2": 18,
        "affine3": 19,
        "affine4": 20,
        "affine6": 22,
        "affine8": 24,
        "png": 32,
        "webp_lossless": 33,
        "webp90": 34,
        "webp75": 35,
        "webp50": 36,
        "jpeg90": 37,
        "jpeg75": 38,
        "half_webp90": 40,
        "half_webp75": 41,
        "half_png": 42,
        "channel2": 52,
        "channel3": 53,
        "channel4": 54,
        "channel6": 56,
        "channel8": 58,
        "context2": 64,
        "context5": 65,
        "context10": 66,
        "context20": 67,
        "context50": 68,
        "context100": 69,
        "coarse2": 82,
        "coarse3": 83,
        "coarse4": 84,
        "coarse6": 86,
        "coarse8": 88,
        "learned1": 96,
        "learned2": 97,
        "learned3": 98,
        "learned4": 99,
        "learned5": 100,
        "tokens10": 112,
        "tokens20": 113,
        "tokens50": 114,
    }
    assert len({codec.id for codec in ALL}) == len(ALL)


def test_nothing_in_the_package_is_left_unregistered() -> None:
    found = set()
    for module in pkgutil.iter_modules(codecs.__path__):
        members = vars(importlib.import_module(f"offramp.codecs.{module.name}")).values()
        found |= {
            member
            for member in members
            if inspect.isclass(member)
            and issubclass(member, Codec)
            and not inspect.isabstract(member)
        }
    assert found == {type(codec) for codec in ALL}


def test_each_codec_is_found_by_name_and_by_id() -> None:
    for codec in ALL:
        assert codecs.get(codec.name) is codec
        assert codecs.by_id(codec.id) is codec
        assert 1 <= codec.id < 120


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'affine5'.*affine6.*webp75"):
        codecs.get("affine5")


def test_unknown_id_is_a_frame_error() -> None:
    with pytest.raises(FrameError, match="id 0"):
        codecs.by_id(0)


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("int64", (4,), "raw lossless"),
        ("bool", (), "raw lossless"),
        ("uint8", (4, 4, 4), "raw lossless"),
        (
            "float32",
            (2, 3),
            "raw lossless fp16 affine8 affine6 affine4 affine3 affine2 " + CALIBRATED + TOKENS,
        ),
        ("float32", (), "raw lossless fp16 affine8 affine6 affine4 affine3 affine2"),
        ("float16", (2, 3), "raw lossless affine8 affine6 affine4 affine3 affine2"),
        ("uint8", (16_384, 2), "raw lossless png jpeg90 jpeg75 " + HALF),
        ("uint8", (70_000, 2, 3), "raw lossless png half_png"),
        ("uint8", (16_000, 16_000), "raw lossless " + HALF),
        ("uint8", (1, 4), "raw lossless png webp_lossless webp90 webp75 webp50 jpeg90 jpeg75"),
        (
            "uint8",
            (4, 4, 3),
            "raw lossless png webp_lossless webp90 webp75 webp50 jpeg90 jpeg75 " + HALF,
        ),
    ],
)
def test_which_codecs_support_a_tensor(dtype, shape, expected) -> None:
    found = codecs.supporting(TensorSpec("x", dtype, shape))
    assert [codec.name for codec in found] == expected.split()
