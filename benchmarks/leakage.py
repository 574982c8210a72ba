"""What a boundary tells of its input: a decoder learns to draw the picture from what is sent.

Fashion-MNIST's network is compiled without exits. For each cut and its finest and coarsest codec
level, an attacker who has the bundle and pictures of the same kind trains a small network from the
decoded boundary to the picture, and draws test pictures that it has not seen. Their likeness to the
true ones is given as PSNR and SSIM (Wang et al., 2004; windows of 7 by 7). For comparison: the mean
picture, which tells nothing, and the mean picture of the true class, which is what the answer alone
tells. A stronger attacker gets closer: what is told is at least this.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor, nn

from benchmarks.harness import finish, parse, tabulate
from examples.fashion_mnist.data import held_out, test, train
from examples.fashion_mnist.model import trained
from offramp.bundle import Bundle, open_bundle
from offramp.capture.compiler import CompileOptions, compile_model
from offramp.network import Network
from offramp.samples import LabelledSamples
from offramp.tensors import Array

SIDE = 28
LEARNT, DRAWN, EPOCHS, BATCH = 2500, 500, 6, 64
WIDTH, CALIBRATION = 24, 500
QUICK_LEARNT, QUICK_DRAWN, QUICK_EPOCHS = 256, 100, 1
RATE, SEED = 2e-3, 0
LIMIT_BYTES = 1 << 20


class Drawer(nn.Module):
    """Draws a picture from a boundary: two layers at its size, then one at each larger one."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.spread = None if side > 1 else nn.Linear(channels, WIDTH * 7 * 7)
        layers: list[nn.Module] = []
        wide, side = (channels, side) if side > 1 else (WIDTH, 7)
        for _ in range(2):
            layers += [nn.Conv2d(wide, WIDTH, 3, padding=1), nn.ReLU()]
            wide = WIDTH
        while side < SIDE:
            side = min(2 * side, SIDE)
            layers += [nn.Upsample((side, side)), nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTH, 1, 3, padding=1))

    def forward(self, boundary: Tensor) -> Tensor:
        """Return pictures (N, 28, 28) from boundaries (N, C, H, W)."""
        x = boundary
        if self.spread is not None:
            x = self.spread(x.flatten(1)).view(-1, WIDTH, 7, 7)
        return self.layers(x)[:, 0]


def main() -> None:
    options = parse("leakage", __doc__)
    learnt, drawn, epochs = LEARNT, DRAWN, EPOCHS
    if options.quick:
        learnt, drawn, epochs = QUICK_LEARNT, QUICK_DRAWN, QUICK_EPOCHS
    seen, labels = (array[:learnt] for array in train())
    unseen, classes = (array[:drawn] for array in test())
    truth, known = _scaled(unseen), _scaled(seen)
    mean = np.broadcast_to(known.mean(0), truth.shape)
    of_class = np.stack([known[labels == c].mean(0) for c in classes])
    rows: list[tuple[Any, ...]] = [
        ("the mean picture", *_likeness(mean, truth), ""),
        ("the class's mean picture", *_likeness(of_class, truth), ""),
    ]
    with TemporaryDirectory() as folder:
        bundle = _compiled(Path(folder))
        network = Network(bundle)
        for cut in bundle.cuts[:-1]:
            for level in _levels(bundle, cut):
                began_s = time.perf_counter()
                sent, sizes = _received(network, cut, level, seen)
                drawer = _learn(sent, known, epochs)
                pictures = _draw(drawer, _received(network, cut, level, unseen)[0])
                row = (f"cut {cut}, {level}", *_likeness(pictures, truth), f"{sizes:.0f}")
                rows.append(row)
                print(*row, f"{time.perf_counter() - began_s:.0f} s", flush=True)
    shown = [(name, f"{psnr:.1f}", f"{ssim:.2f}", *more) for name, psnr, ssim, *more in rows]
    tabulate(
        "Pictures drawn from boundaries", ("what is known", "PSNR, dB", "SSIM", "bytes"), shown
    )
    best = max(row[2] for row in rows[2:])
    least = min(row[2] for row in rows[2:])
    line = f"SSIM of pictures drawn from what is sent: {best:.2f} at most, {least:.2f} at least"
    finish("leakage", line, {"rows": [list(row) for row in rows]}, options)


def _compiled(folder: Path) -> Bundle:
    images, labels = held_out()
    given = LabelledSamples((images[:CALIBRATION],), labels[:CALIBRATION])
    compile_model(trained(), given, folder / "fashion.offramp", CompileOptions("fashion_mnist"))
    return open_bundle(folder / "fashion.offramp")


def _levels(bundle: Bundle, cut: int) -> Sequence[str]:
    """Return the level of a cut that loses least and the one that sends least."""
    from offramp.calibration import load_calibration

    sizes = load_calibration(bundle).sizes
    here = sorted((float(sizes[at, name].mean()), name) for at, name in sizes if at == cut)
    return list(dict.fromkeys((here[-1][1], here[0][1])))


def _received(network: Network, cut: int, level: str, images: Array) -> tuple[Tensor, float]:
    """Return what the server decodes of each image's boundary, (N, C, H, W), and the mean bytes."""
    boundaries, sent_bytes = [], 0
    for image in images:
        frames = network.encode(cut, level, network.run(0, cut, [image[None]])).frames
        sent_bytes += sum(map(len, frames))
        tensors, _ = network.decode(cut, frames, limit_bytes=LIMIT_BYTES)
        boundaries.append(np.concatenate([_planes(tensor[0]) for tensor in tensors]))
    received = torch.from_numpy(np.stack(boundaries))
    return received, sent_bytes / len(images)


def _planes(tensor: Array) -> Array:
    """Return a tensor of one sample as (C, H, W), scaled if it is the picture itself."""
    if tensor.dtype == np.uint8:
        return np.moveaxis(tensor, -1, 0).astype(np.float32) / 255
    return tensor if tensor.ndim == 3 else tensor.reshape(-1, 1, 1)


def _learn(sent: Tensor, pictures: Array, epochs: int) -> tuple[Drawer, Tensor, Tensor]:
    torch.manual_seed(SEED)
    mean, spread = sent.mean((0, 2, 3), keepdim=True), sent.std() + 1e-6
    drawer = Drawer(sent.shape[1], sent.shape[-1])
    optimiser = torch.optim.Adam(drawer.parameters(), RATE)
    steps = epochs * -(-len(sent) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    wanted = torch.from_numpy(pictures)
    for _ in range(epochs):
        for rows in torch.randperm(len(sent)).split(BATCH):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(drawer((sent[rows] - mean) / spread), wanted[rows])
            loss.backward()
            optimiser.step()
            schedule.step()
    return drawer.eval(), mean, spread


def _draw(learnt: tuple[Drawer, Tensor, Tensor], sent: Tensor) -> Array:
    drawer, mean, spread = learnt
    with torch.inference_mode():
        parts = [drawer((part - mean) / spread) for part in sent.split(BATCH)]
    return torch.cat(parts).clamp(0, 1).numpy()


def _scaled(images: Array) -> Array:
    return images[..., 0].astype(np.float32) / 255


def _likeness(drawn: Array, truth: Array) -> tuple[float, float]:
    """Return the mean PSNR in dB and the mean SSIM of pictures with values from 0 to 1."""
    errors = np.maximum(((drawn - truth) ** 2).mean((1, 2)), 1e-10)
    alike = [_ssim(one, other) for one, other in zip(drawn, truth, strict=True)]
    return float(np.mean(-10 * np.log10(errors))), float(np.mean(alike))


def _ssim(one: Array, other: Array) -> float:
    def mean(values: Any) -> Any:
        return uniform_filter(values.astype(np.float64), 7)

    a, b = mean(one), mean(other)
    spread = mean(one**2) - a * a + mean(other**2) - b * b
    both = mean(one * other) - a * b
    c1, c2 = 0.01**2, 0.03**2
    alike = (2 * a * b + c1) * (2 * both + c2) / ((a * a + b * b + c1) * (spread + c2))
    return float(alike.mean())


if __name__ == "__main__":
    main()
