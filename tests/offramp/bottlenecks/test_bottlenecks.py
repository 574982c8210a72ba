"""The pairs: for every layout of features, from a module to the programs of every engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offramp import backends
from offramp.backends import Chain, Link
from offramp.bottlenecks import Bottleneck, build_bottleneck
from offramp.bundle import Boundary
from offramp.capture.draft import Draft
from offramp.errors import CaptureError
from offramp.tensors import TensorSpec

SHAPES = [(1,), (30,), (1, 8), (7, 12), (3, 1, 1), (4, 3, 9), (6, 8, 8), (5, 7, 12)]
EXPORTED = [(30,), (7, 12), (5, 7, 12)]


def _built(shape: tuple[int, ...], rectified: bool = False) -> Bottleneck:
    torch.manual_seed(0)
    return build_bottleneck(TensorSpec("x", "float32", shape), rectified).eval()


@pytest.mark.parametrize("shape", SHAPES)
def test_features_come_back_in_their_shape_each_by_itself(shape: tuple[int, ...]) -> None:
    pair, features = _built(shape), torch.randn(3, *shape)
    with torch.no_grad():
        latents = pair.encoder(features)
        restored = pair(features)
        alone = torch.cat([pair(row[None]) for row in features])
    assert latents.shape == (3, *pair.latent_shape)
    assert restored.shape == features.shape
    torch.testing.assert_close(restored, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES[3:])
def test_a_latent_is_narrower_and_its_encoder_light(shape: tuple[int, ...]) -> None:
    pair = _built(shape)
    assert np.prod(pair.latent_shape) <= np.prod(shape) * (1 if min(shape) < 4 else 0.75)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (pair.encoder, pair.decoder)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_what_comes_back_has_the_scale_of_what_it_was_fitted_to(shape: tuple[int, ...]) -> None:
    features = 1e3 + 50 * torch.randn(64, *shape)
    pair = _built(shape)
    pair.decoder.fit(features)
    restored = pair.train()(features)
    assert float(restored.detach().mean()) == pytest.approx(1e3, abs=50)
    assert not (_built(shape, rectified=True)(-features) < 0).any()


def test_a_constant_channel_is_no_division_by_zero() -> None:
    pair = _built((4, 6, 6))
    pair.decoder.fit(torch.zeros(8, 4, 6, 6))
    assert pair(torch.zeros(2, 4, 6, 6)).isfinite().all()


@pytest.mark.parametrize(
    ("dtype", "shape"), [("float32", ()), ("float32", (2, 3, 4, 5)), ("int64", (4,))]
)
def test_what_no_pair_fits_is_said(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(CaptureError, match=f"no bottleneck for 'x', {dtype} of shape"):
        build_bottleneck(TensorSpec("x", dtype, shape))


@pytest.mark.parametrize("shape", EXPORTED)
def test_both_parts_run_on_the_engines_with_any_batch(
    shape: tuple[int, ...], tmp_path: Path, exported_once: None
) -> None:
    pair = _built(shape)
    boundary = Boundary(tensors=(TensorSpec("x", "float32", shape),))
    draft = Draft({"boundaries": (boundary, boundary)})
    draft.add_bottleneck(pair, "there", (1, "x"))
    spec = draft.fields["boundaries"][1].bottleneck
    assert (spec.tensor, spec.latent.shape) == ("x", pair.latent_shape)
    assert spec.encoder.macs > 0
    for name, data in draft.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    features = torch.randn(5, *shape)
    with torch.no_grad():
        latents = pair.encoder(features)
        expected = latents.numpy(), pair.decoder(latents).numpy()
    for backend in backends.installed():
        if not backend.exact or not backend.ready_at_once:
            continue
        given = features.numpy()
        for program, wanted in zip((spec.encoder, spec.decoder), expected, strict=True):
            assert backend.name not in program.skipped, program.skipped
            chain = Chain((Link(tmp_path / program.folder, ("given",), ("made",)),), ("made",))
            run = backend.load(chain, 1)
            (alone,) = run([given[:1]])
            (given,) = run([given])
            np.testing.assert_allclose(given, wanted, atol=1e-4, rtol=1e-4)
            np.testing.assert_allclose(alone, wanted[:1], atol=1e-4, rtol=1e-4)


def test_a_pair_for_another_tensor_or_a_second_one_is_refused() -> None:
    boundary = Boundary(tensors=(TensorSpec("x", "float32", (6, 8, 8)),))
    draft = Draft({"boundaries": (boundary, boundary)})
    with pytest.raises(CaptureError, match="is for float32 of shape"):
        draft.add_bottleneck(_built((6, 4, 4)), "there", (1, "x"))
    draft.add_bottleneck(_built((6, 8, 8)), "there", (1, "x"))
    with pytest.raises(CaptureError, match="two bottlenecks, one behind 'again'"):
        draft.add_bottleneck(_built((6, 8, 8)), "again", (1, "x"))
