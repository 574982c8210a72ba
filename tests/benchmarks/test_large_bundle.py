"""The bundle of ResNet-50's size: answers that are fitted, images that look like a camera's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import BUNDLE
from benchmarks.large_bundle import (
    CLASSES,
    IMAGE_LEVELS,
    SIDE,
    join,
    ridge,
    scaled_images,
    with_calibration,
    with_image_levels,
)
from offramp.bundle import open_bundle
from offramp.calibration import load_calibration


def test_ridge_is_the_least_squares_fit_with_its_penalty() -> None:
    dice = np.random.default_rng(0)
    features = dice.normal(2.0, 1.0, (30, 50)).astype(np.float32)
    labels = dice.integers(0, CLASSES, 30)
    weights, bias = ridge(features, labels)
    centred = (features - features.mean(axis=0)).astype(np.float64)
    penalty = np.trace(centred @ centred.T) / 30
    normal = centred.T @ centred + penalty * np.eye(50)
    expected = np.linalg.solve(normal, centred.T @ (np.eye(CLASSES)[labels] - 1 / CLASSES))
    assert weights == pytest.approx(expected.T, abs=1e-4)
    answers = features @ weights.T + bias
    assert answers.mean(axis=0) == pytest.approx([1 / CLASSES] * CLASSES, abs=1e-4)
    assert (answers.argmax(axis=1) == labels).mean() > 0.8


def test_images_are_scaled_with_noise_and_the_same_every_time() -> None:
    flat = np.full((3, 32, 32, 3), 100, np.uint8)
    labels = np.array([1, 2, 3])
    found = scaled_images(flat, labels, 2, seed=1)
    (images,) = found.inputs
    assert images.shape == (2, SIDE, SIDE, 3)
    assert images.dtype == np.uint8
    assert images.mean() == pytest.approx(100, abs=0.1)
    assert images.std() == pytest.approx(4.0, rel=0.02)
    assert found.labels.tolist() == [1, 2]
    assert (scaled_images(flat, labels, 2, seed=1).inputs[0] == images).all()


def test_outcomes_of_parts_are_those_of_all_samples_and_stand_in_a_bundle(tmp_path: Path) -> None:
    bundle = open_bundle(BUNDLE)
    known = load_calibration(bundle)
    half = len(known.labels) // 2
    parts = [known.select(np.arange(half)), known.select(np.arange(half, len(known.labels)))]
    joined = join(parts)
    for name, array in known.to_arrays().items():
        assert (joined.to_arrays()[name] == array).all(), name
    path = tmp_path / "half.offramp"
    with_calibration(bundle, parts[0], path)
    written = open_bundle(path)
    assert f"on {half} held-out samples" in written.manifest.card["accuracy"]
    assert load_calibration(written).levels == known.levels
    assert len(load_calibration(written).labels) == half
    assert written.manifest.segments == bundle.manifest.segments


def test_the_input_may_go_by_every_image_codec_and_nothing_else_changes() -> None:
    bundle = open_bundle(BUNDLE)
    offered = with_image_levels(bundle).manifest.boundaries
    assert set(offered[0].levels) == {*bundle.manifest.boundaries[0].levels, *IMAGE_LEVELS}
    assert offered[1:] == bundle.manifest.boundaries[1:]
