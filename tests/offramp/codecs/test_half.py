"""The codecs that send an image at half its size."""

import io

import numpy as np
import pytest
from PIL import Image

from offramp import codecs
from offramp.errors import FrameError
from offramp.tensors import TensorSpec

HALF_PNG = codecs.get("half_png")


def spec_of(image) -> TensorSpec:
    return TensorSpec("x", "uint8", image.shape)


def through(codec, image):
    return codec.decode(codec.encode(image), spec_of(image))


def test_the_file_holds_the_means_of_two_by_two_pixels() -> None:
    image = np.array([[0, 4, 100, 100], [4, 8, 100, 100], [10, 10, 1, 3]], "uint8")
    with Image.open(io.BytesIO(HALF_PNG.encode(image))) as file:
        assert np.asarray(file).tolist() == [[4, 100], [10, 2]]


@pytest.mark.parametrize("shape", [(2, 2), (3, 2, 3), (9, 7, 1), (64, 33, 3), (33, 64)])
def test_ramps_stay_where_they_were_at_even_and_odd_sizes(shape) -> None:
    """Pixels that moved by half of one would all be off by 1."""
    rows, columns = np.indices(shape[:2])
    ramp = (40 + 2 * (rows + columns)).astype("uint8")
    image = np.broadcast_to(ramp.reshape(*shape[:2], *(1,) * (len(shape) - 2)), shape)
    found = through(HALF_PNG, image).astype(int)
    middle = (slice(4, -4), slice(4, -4))
    assert np.abs(found - image).max() <= 2
    assert abs(float((found - image)[middle].sum())) <= 0.3 * found[middle].size


@pytest.mark.parametrize("name", ["half_webp90", "half_webp75", "half_png"])
def test_an_even_picture_comes_back_even(name) -> None:
    image = np.full((31, 18, 3), 128, "uint8")
    assert np.abs(through(codecs.get(name), image).astype(int) - 128).max() <= 2


def test_it_takes_about_a_quarter_of_the_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    whole, half = codecs.get("png").encode(noise), HALF_PNG.encode(noise)
    assert len(half) < 0.3 * len(whole)


def test_a_file_of_the_whole_size_is_refused() -> None:
    image = np.zeros((32, 32, 3), "uint8")
    for whole, half in [("png", "half_png"), ("webp90", "half_webp90")]:
        payload = codecs.get(whole).encode(image)
        with pytest.raises(FrameError, match="16"):
            codecs.get(half).decode(payload, spec_of(image))
