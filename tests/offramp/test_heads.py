"""Exit heads: every kind, on every layout that it reads, up to the engines."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp import backends
from offramp.backends import Chain, Link
from offramp.bundle import Boundary
from offramp.capture.draft import Draft
from offramp.errors import CaptureError, ConfigError
from offramp.exits import heads
from offramp.exits.heads import HEADS, build_head, default_kind
from offramp.exits.heads.head import LAYOUTS
from offramp.tensors import TensorSpec

CLASSES = 5
SHAPES = {
    "vector": [(1,), (24,)],
    "sequence": [(1, 1), (7, 12), (200, 40)],
    "image": [(3, 1, 1), (3, 2, 5), (8, 7, 7), (4, 24, 24), (300, 13, 30)],
}
MEMBERS = [
    (kind, shape) for kind in HEADS for layout in HEADS[kind].layouts for shape in SHAPES[layout]
]
EXPORTED = [(kind, SHAPES[layout][-2]) for kind in HEADS for layout in HEADS[kind].layouts]
WITH_CONTEXT = [(kind, shape) for kind, shape in MEMBERS if shape[-1] > 1]
"""Where every weight matters: one number normalised is none, one place attends to itself alone."""


def _built(kind: str, shape: tuple[int, ...]) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_head(kind, TensorSpec("x", "float32", shape), CLASSES).eval()


def test_every_head_is_registered() -> None:
    parts = {"attention", "head", "pooling"}
    files = {module.name.rstrip("_") for module in pkgutil.iter_modules(heads.__path__)}
    assert files - parts == set(HEADS)
    for name, kind in HEADS.items():
        assert kind.name == name
        assert set(kind.layouts) <= set(LAYOUTS.values())
    with pytest.raises(ConfigError, match="unknown exit head 'lokal'; did you mean 'local'"):
        build_head("lokal", TensorSpec("x", "float32", (3, 8, 8)), 4)


@pytest.mark.parametrize(("kind", "shape"), MEMBERS)
def test_a_head_answers_each_sample_by_itself(kind: str, shape: tuple[int, ...]) -> None:
    head = _built(kind, shape)
    features = torch.randn(3, *shape)
    with torch.no_grad():
        together = head(features)
        alone = torch.cat([head(row[None]) for row in features])
    assert together.shape == (3, CLASSES)
    assert together.isfinite().all()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("kind", "shape"), WITH_CONTEXT)
def test_every_weight_of_a_head_learns(kind: str, shape: tuple[int, ...]) -> None:
    head = _built(kind, shape).train()
    labels = torch.arange(8) % CLASSES
    torch.nn.functional.cross_entropy(head(torch.randn(8, *shape)), labels).backward()
    for name, weight in head.named_parameters():
        assert weight.grad is not None, name
        if not name.endswith("key.bias"):  # adds the same to all scores of a query
            assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize(("kind", "shape"), EXPORTED)
def test_a_head_runs_on_the_engines_with_any_batch(
    kind: str, shape: tuple[int, ...], tmp_path: Path, exported_once: None
) -> None:
    head = _built(kind, shape)
    draft = Draft({"boundaries": (Boundary(tensors=(TensorSpec("x", "float32", shape),)),)})
    draft.add_exit(head, "early", (0, "x"))
    (spec,) = draft.fields["exits"]
    last = [part for part in head.modules() if isinstance(part, torch.nn.Linear)][-1]
    assert spec.macs >= last.weight.numel()
    for name, data in draft.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for name in ("onnxruntime", "torch"):
        assert name not in spec.skipped
        link = Link(tmp_path / spec.folder, ("x",), ("logits",))
        run = backends.get(name).load(Chain((link,), link.makes), 1)
        for count in (1, 3):
            features = np.random.default_rng(count).normal(size=(count, *shape))
            features = features.astype(np.float32)
            with torch.no_grad():
                expected = head(torch.from_numpy(features)).numpy()
            np.testing.assert_allclose(run([features])[0], expected, atol=1e-5, rtol=1e-4)


def test_a_sequence_head_gives_the_mean_of_the_frames_posteriors() -> None:
    head = _built("sequence", (4, 6))
    frames = torch.randn(2, 4, 6)
    with torch.no_grad():
        each = torch.stack([head.answer(frames[:, at]).softmax(-1) for at in range(4)])
        torch.testing.assert_close(head(frames).exp(), each.mean(0))


def test_a_latent_head_and_a_local_one_see_where_things_are() -> None:
    mirrored = torch.randn(2, 8, 12, 12)
    for kind in ("linear", "local", "global", "latent"):
        head = _built(kind, (8, 12, 12))
        with torch.no_grad():
            moved = (head(mirrored) - head(mirrored.flip(-1))).abs().max()
        assert moved > 1e-4, kind


@pytest.mark.parametrize(
    ("kind", "tensor", "said"),
    [
        ("local", TensorSpec("x", "float32", (3,)), r"of shape \(3,\); heads that do: linear;"),
        ("sequence", TensorSpec("x", "float32", (3, 8, 8)), "linear, local, global, latent;"),
        ("linear", TensorSpec("x", "uint8", (3, 8, 8)), "is uint8 .*no head does"),
        ("linear", TensorSpec("x", "float32", (2, 3, 8, 8)), "no head does; heads read float32"),
        ("linear", TensorSpec("x", "float32", ()), "no head does"),
    ],
)
def test_a_head_that_does_not_fit_names_those_that_do(
    kind: str, tensor: TensorSpec, said: str
) -> None:
    with pytest.raises(CaptureError, match=said):
        build_head(kind, tensor, 4)


def test_an_exit_that_names_no_head_gets_one_that_fits() -> None:
    kinds = {
        layout: {default_kind(TensorSpec("t", "float32", shape)) for shape in SHAPES[layout]}
        for layout in SHAPES
    }
    assert kinds == {"vector": {"linear"}, "sequence": {"local"}, "image": {"local"}}
    with pytest.raises(CaptureError, match="no head does"):  # said by what builds it
        build_head(default_kind(TensorSpec("t", "int64", (3,))), TensorSpec("t", "int64", (3,)), 2)
