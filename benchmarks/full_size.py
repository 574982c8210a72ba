"""Networks at full size with random weights, compiled once and kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import offramp
from offramp.bundle import Bundle, open_bundle
from offramp.bundle.cache import cache_folder
from offramp.samples import LabelledSamples, Samples

__all__ = ["FULL_SIZE", "full_size"]

SIDE = 224
SAMPLES = 4
INT8_SAMPLES = 8


def full_size(name: str, *, int8: bool = False) -> Bundle:
    """Return one of `FULL_SIZE` as a bundle; compiling it the first time takes a minute or two.

    With random weights and inputs, what an int8 head loses says nothing; what it gains does.
    """
    kind = f"{name}-int8" if int8 else name
    path = cache_folder() / "benchmarks" / f"{kind}-{_sources()[:12]}.offramp"
    if not path.exists():
        _compile(name, path, int8)
    return open_bundle(path)


def build(name: str) -> Any:
    """Return a network of `FULL_SIZE` with random weights, in evaluation mode."""
    import torch

    class Logits(torch.nn.Module):
        """A model of transformers whose answer is its logits alone."""

        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.model(pixel_values).logits

    torch.manual_seed(0)
    return Logits(FULL_SIZE[name]()).eval()


def _mobilenet_v2() -> Any:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    return MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=1000))


def _resnet_50() -> Any:
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(ResNetConfig(num_labels=1000))


def _vit_ti() -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=192,
        num_hidden_layers=12,
        num_attention_heads=3,
        intermediate_size=768,
        num_labels=1000,
    )
    return ViTForImageClassification(config)


FULL_SIZE: dict[str, Callable[[], Any]] = {
    "mobilenet_v2": _mobilenet_v2,
    "resnet_50": _resnet_50,
    "vit_ti": _vit_ti,
}
"""MobileNetV2, ResNet-50 and ViT-Ti, images of 224 x 224, 1,000 classes, from configurations."""


def _compile(name: str, path: Path, int8: bool) -> None:
    from offramp.capture.compiler import CompileOptions, compile_model

    count = INT8_SAMPLES if int8 else SAMPLES
    images = np.random.default_rng(0).normal(size=(count, 3, SIDE, SIDE)).astype(np.float32)
    print(f"compiling {name}", flush=True)
    held_out = LabelledSamples((images,), np.zeros(count, np.int64)) if int8 else None
    options = CompileOptions(name, int8=int8)
    compile_model(build(name), held_out, path, options, examples=Samples((images[:SAMPLES],)))


def _sources() -> str:
    """Return a digest of what decides what a compile gives."""
    home = Path(offramp.__file__).parent
    sources = [*sorted((home / "capture").rglob("*.py")), *sorted((home / "codecs").glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
