"""A bundle of ResNet-50's size that answers something: random features, fitted answers.

No trained weights of that size can be had here. So the backbone is random, with statistics of its
normalisations from training images, and residual branches that add little to their shortcuts, or
nothing would be left of an image behind so many random layers. The last layer and three exits are
ridge regressions on its features: low, but real accuracies. Images are CIFAR-10's, 224 x 224, with
a camera's noise, without which they would compress better than photographs do. The end reads a
grid of 4 x 4 cells, the exits the mean alone, so that it pays to go on.

Codecs and temperatures are fitted to few images. What the bundle then says of its accuracy and
bytes was recorded on many others, a few at a time, as all boundaries of all take too much memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from examples.cifar10 import data
from offramp.bundle import Bundle, Manifest, open_bundle, write_bundle
from offramp.bundle.cache import cache_folder
from offramp.calibration import FILE, Calibration
from offramp.capture import calibrate
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.capture.early_exit import EarlyExitModel
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

__all__ = [
    "PART",
    "LargeNet",
    "join",
    "large_bundle",
    "record_part",
    "ridge",
    "scaled_images",
    "with_calibration",
    "with_image_levels",
]

SIDE, CLASSES = 224, 10
FITTED, LEVELLED, CALIBRATED, NORMALISED = 2000, 200, 1000, 64
"""So many images fit the answers, choose the codecs' levels, are calibrated on, normalise."""

PART = 100
"""Images recorded at a time: their boundaries take 0.7 GB."""

EXITS = ("stages.0", "stages.1", "stages.2")
LEVELS = ("raw", "lossless", "affine8", "affine4", "channel4", "context10")
IMAGE_LEVELS = ("jpeg90", "webp90", "webp50")
"""Few, as to calibrate all takes hours at this size."""

_NOISE = 4.0  # of 255 levels, standard deviation
_BRANCH = 0.2
_PENALTY = 1.0  # of the mean squared feature vector
_BATCH = 25


class LargeNet(nn.Module):
    """ResNet-50 for uint8 images (batch, 224, 224, 3), whose last layer reads a grid of cells."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import ResNetConfig, ResNetModel

        whole = ResNetModel(ResNetConfig())
        self.embedder, self.stages = whole.embedder, whole.encoder.stages
        self.classify = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(2048 * 16, CLASSES)
        )
        for name, module in self.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
                if name.endswith("layer.2.normalization"):
                    nn.init.constant_(module.weight, _BRANCH)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (batch, 10)."""
        x = self.embedder(image.permute(0, 3, 1, 2).to(torch.float32) / 64.0 - 1.9)
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.classify(x)
        return logits


def large_bundle() -> Path:
    """Return the bundle's file in the cache; making it takes half an hour of a core."""
    path = _cached(CALIBRATED)
    if not path.exists():
        bundle = with_image_levels(open_bundle(_compiled()))
        starts = range(LEVELLED, LEVELLED + CALIBRATED, PART)
        with_calibration(bundle, join([record_part(bundle, start) for start in starts]), path)
    return path


def _cached(calibrated: int) -> Path:
    return cache_folder() / "benchmarks" / f"large-resnet_50-{FITTED}-{calibrated}.offramp"


def _compiled() -> Path:
    """Return the bundle as it is compiled, with `LEVELLED` images alone."""
    path = _cached(LEVELLED)
    if not path.exists():
        torch.manual_seed(0)
        model = _fitted(LargeNet())
        held_out = scaled_images(*data.held_out(), LEVELLED, seed=2)
        options = CompileOptions("resnet_50", classes=data.CLASSES, max_segments=5)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _few_levels():
            compile_model(model, held_out, path, options, report=_say)
    return path


def with_image_levels(bundle: Bundle) -> Bundle:
    """Return a bundle that offers every one of the image codecs for its input.

    Of `LEVELLED` images three are 1.5% of all, so that a codec may seem to lose nothing on them.
    """
    first, *others = bundle.manifest.boundaries
    levels = {**first.levels, **{name: ({},) for name in IMAGE_LEVELS}}
    boundaries = (first.model_copy(update={"levels": levels}), *others)
    manifest = bundle.manifest.model_copy(update={"boundaries": boundaries})
    return replace(bundle, manifest=manifest)


def record_part(bundle: Bundle, start: int) -> Calibration:
    """Return what becomes of `PART` held-out images from ``start`` on, at the bundle's levels."""
    images, labels = (array[start : start + PART] for array in data.held_out())
    network = Network(bundle, threads=torch.get_num_threads())
    _say(f"recording images {start} to {start + PART - 1}")
    samples = scaled_images(images, labels, PART, seed=start)
    return calibrate.record_again(network, network, samples, lambda line: None)[0]


def join(parts: Sequence[Calibration]) -> Calibration:
    """Return the outcomes of all samples of parts that have the same levels."""
    first = parts[0]
    return Calibration(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.exit_logits for part in parts], axis=1),
        np.concatenate([part.final_logits for part in parts]),
        {place: np.concatenate([part.answers[place] for part in parts]) for place in first.levels},
        {place: np.concatenate([part.sizes[place] for part in parts]) for place in first.levels},
        together={
            place: np.concatenate([part.together[place] for part in parts])
            for place in first.together
        },
        leaves={
            place: np.concatenate([part.leaves[place] for part in parts]) for place in first.leaves
        },
    )


def with_calibration(bundle: Bundle, calibration: Calibration, path: Path) -> None:
    """Write a bundle to ``path`` as it is, but with the outcomes of other samples."""
    fields = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
    files = {name: bundle.path(name).read_bytes() for name in fields.pop("files")}
    arrays = calibration.to_arrays().items()
    files[FILE] = save({name: np.ascontiguousarray(array) for name, array in arrays})
    right = (calibration.exit_logits.argmax(axis=-1) == calibration.labels).mean(axis=1)
    exits = zip(fields["exits"], right, strict=True)
    told = ", ".join(f"exit {spec.name} {share:.4f}" for spec, share in exits)
    told = f"on {len(calibration.labels)} held-out samples: {told}"
    told += f", whole model {calibration.accuracy:.4f}"
    fields["card"] = {**fields["card"], "accuracy": told}
    write_bundle(path, fields, files)


def scaled_images(images: Array, labels: Array, count: int, seed: int) -> LabelledSamples:
    """Return the first images at 224 x 224 with noise: uint8 (count, 224, 224, 3)."""
    dice = np.random.default_rng(seed)
    small = torch.tensor(images[:count]).permute(0, 3, 1, 2).to(torch.float32)
    large = nn.functional.interpolate(small, size=SIDE, mode="bicubic", align_corners=False)
    noisy = large.permute(0, 2, 3, 1).numpy()
    noisy += dice.normal(0, _NOISE, noisy.shape).astype(np.float32)
    return LabelledSamples((noisy.round().clip(0, 255).astype(np.uint8),), labels[:count])


def ridge(features: Array, labels: Array) -> tuple[Array, Array]:
    """Return weights (classes, features) and a bias of the least squares fit to N samples.

    One-hot targets; solved by samples, of which there are fewer than features.
    """
    mean = features.mean(axis=0)
    centred = (features - mean).astype(np.float64)
    targets = np.eye(CLASSES)[labels] - 1 / CLASSES
    gram = centred @ centred.T
    gram[np.diag_indices_from(gram)] += _PENALTY * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram, targets).T @ centred
    return weights.astype(np.float32), (1 / CLASSES - weights @ mean).astype(np.float32)


@torch.no_grad()
def _fitted(model: LargeNet) -> EarlyExitModel:
    """Return the network with its last layer and exits fitted to training images."""
    samples = scaled_images(*data.train(), FITTED, seed=1)
    model.train()
    model(torch.tensor(samples.inputs[0][:NORMALISED]))
    model.eval()
    features = _features(model, samples.inputs[0])
    heads = {}
    for path in (*EXITS, ""):
        found = features.pop(path)
        linear = model.classify[-1] if not path else nn.Linear(found.shape[1], CLASSES)
        assert isinstance(linear, nn.Linear)
        for parameter, fitted in zip(
            (linear.weight, linear.bias), ridge(found, samples.labels), strict=True
        ):
            parameter.copy_(torch.tensor(fitted))
        if path:
            heads[path] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return EarlyExitModel(model, heads)


def _features(model: LargeNet, images: Array) -> dict[str, Array]:
    """Return what each exit reads, by its path, and what the last layer does, by no path."""
    found: dict[str, list[Array]] = {path: [] for path in (*EXITS, "")}

    def keep(path: str, tensor: Tensor) -> None:
        found[path].append(tensor.to(torch.float32).numpy())

    modules = dict(model.named_modules())
    hooks = [
        modules[path].register_forward_hook(
            lambda _module, _inputs, output, path=path: keep(path, output.mean((2, 3)))
        )
        for path in EXITS
    ]
    flat = modules["classify.1"]
    hooks.append(flat.register_forward_hook(lambda _module, _inputs, output: keep("", output)))
    with torch.autocast("cpu", torch.bfloat16):
        for at in range(0, len(images), _BATCH):
            model(torch.tensor(images[at : at + _BATCH]))
            if at % 500 == 0:
                _say(f"{at} of {len(images)} images")
    for hook in hooks:
        hook.remove()
    return {path: np.concatenate(parts) for path, parts in found.items()}


@contextmanager
def _few_levels() -> Iterator[None]:
    before: Any = calibrate.OFFERED
    calibrate.OFFERED = [name for name in before if name in (*LEVELS, *IMAGE_LEVELS)]
    try:
        yield
    finally:
        calibrate.OFFERED = before


def _say(line: str) -> None:
    print(line, flush=True)
