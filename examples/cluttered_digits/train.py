"""Train the cluttered-digits network: ``python -m examples.cluttered_digits.train``.

Writes ``weights.safetensors`` beside this file; ``offramp compile`` makes the bundle from it.
Reproducible by seed on one kind of machine and one torch version.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from examples.cluttered_digits.model import build
from offramp.embedded.cluttered_digits import Split, load

HERE = Path(__file__).parent
CHUNK = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24_000, help="training images to draw")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    images, labels = _draw("train", options.images)
    held_out = _draw("calibration", 2000)
    model = build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = options.epochs * (len(images) // options.batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    order = torch.Generator().manual_seed(options.seed)
    started = time.perf_counter()
    for epoch in range(options.epochs):
        model.train()
        for rows in torch.randperm(len(images), generator=order).split(options.batch):
            if len(rows) < options.batch:
                continue
            loss = _loss(model, _shift(images[rows], order), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        accuracy = _accuracy(model, *held_out)
        weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, options.out / "weights.safetensors")
        print(
            f"epoch {epoch + 1}/{options.epochs}  loss {loss.item():.3f}  "
            f"accuracy per exit {' '.join(f'{a:.3f}' for a in accuracy)}  "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
    recipe = {
        "data": f"cluttered digits, {options.images} training images, seed 0",
        "recipe": f"joint training of all exits, loss weights 0.4 0.6 0.8 1.0, AdamW, one-cycle "
        f"rate up to 3e-3, {options.epochs} epochs, batch {options.batch}, seed {options.seed}",
        "torch": torch.__version__,
    }
    (options.out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")


def _loss(model: torch.nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        answers = model(images)
    losses = [
        weight * F.cross_entropy(logits.float(), labels, label_smoothing=0.05)
        for weight, logits in zip((0.4, 0.6, 0.8, 1.0), answers, strict=True)
    ]
    return torch.stack(losses).sum()


def _shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move the whole batch by up to 6 pixels, so that no image is seen twice alike."""
    dy, dx = torch.randint(-6, 7, (2,), generator=generator).tolist()
    return torch.roll(images, (dy, dx), (1, 2))


@torch.no_grad()
def _accuracy(model: torch.nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    model.eval()
    batches = zip(images.split(250), labels.split(250), strict=True)
    correct = [[(a.argmax(1) == y).float().mean() for a in model(x)] for x, y in batches]
    return torch.tensor(correct).mean(0).tolist()


def _draw(split: Split, count: int) -> tuple[Tensor, Tensor]:
    starts = range(0, count, CHUNK)
    with ProcessPoolExecutor() as pool:
        chunks = list(pool.map(_chunk, [(split, start, CHUNK) for start in starts]))
    images, labels = (np.concatenate(part) for part in zip(*chunks, strict=True))
    return torch.from_numpy(images), torch.from_numpy(labels)


def _chunk(job: tuple[Split, int, int]) -> tuple[np.ndarray, np.ndarray]:
    split, start, count = job
    return load(split, count, start=start)


if __name__ == "__main__":
    main()
