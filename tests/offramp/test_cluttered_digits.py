"""The embedded images are the same bytes everywhere, for ever."""

from __future__ import annotations

import hashlib
from typing import get_args

import numpy as np
import pytest

from offramp.embedded.cluttered_digits import CLASSES, SIZE, Split, draw, load, source_digits
from offramp.errors import ConfigError

pytest.importorskip("sklearn", reason="the digits come from scikit-learn")

SPLITS = get_args(Split)
GOLDEN = {
    "train": "31c2dd130249f8e2c6c1a552d641fbde5eaf0b72917b9e3c436b3f9e06015e9d",
    "calibration": "775a50405b17af3b0fcc3f98d78cf83ac3cf15ae4332deef1b818ca1cc7d479b",
    "test": "993b328d0b9e9ae21bc03af5ddb869f5287ca29e3969383caf2dd5250decfb4e",
}


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_images_are_yesterdays(split: Split) -> None:
    images, labels = load(split, 8)
    assert images.shape == (8, SIZE, SIZE, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    data = images.tobytes() + labels.astype("<i8").tobytes()
    assert hashlib.sha256(data).hexdigest() == GOLDEN[split]


@pytest.mark.parametrize("split", SPLITS)
def test_an_image_depends_on_its_number_alone(split: Split) -> None:
    images, labels = load(split, 6)
    for start, count in ((0, 1), (2, 3), (5, 1), (3, 0)):
        some, of_some = load(split, count, start=start)
        np.testing.assert_array_equal(some, images[start : start + count])
        np.testing.assert_array_equal(of_some, labels[start : start + count])
        assert some.shape[1:] == (SIZE, SIZE, 3)


def test_images_differ_by_split_number_and_seed() -> None:
    drawn = [draw(split, at, seed=seed)[0] for split in SPLITS for at in (0, 1) for seed in (0, 1)]
    assert len({image.tobytes() for image in drawn}) == len(drawn)


def test_splits_share_no_source_digit() -> None:
    from sklearn.datasets import load_digits

    seen = {
        split: {digit.astype(int).tobytes() for digit in source_digits(split)[0]}
        for split in SPLITS
    }
    for split, other in (("train", "calibration"), ("train", "test"), ("calibration", "test")):
        assert not seen[split] & seen[other]
    assert sum(len(source_digits(split)[0]) for split in SPLITS) == len(load_digits().images)


@pytest.mark.parametrize("split", SPLITS)
def test_classes_are_about_equally_frequent(split: Split) -> None:
    sources = np.bincount(source_digits(split)[1], minlength=10)
    assert sources.max() - sources.min() <= 0.15 * sources.max()
    drawn = np.bincount(load(split, 60)[1], minlength=10)
    assert len(drawn) == len(CLASSES)
    assert drawn.min() >= 1
    assert drawn.max() <= 14


def test_images_use_the_whole_range_and_no_label_is_empty() -> None:
    images, _ = load("test", 20)
    spread = images.reshape(20, -1).std(axis=1)
    assert (spread > 10).all()
    assert images.min() == 0
    assert images.max() == 255


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown split 'validation'; choose one of train"):
        load("validation", 1)  # type: ignore[arg-type]
