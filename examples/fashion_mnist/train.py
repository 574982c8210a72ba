"""Train the Fashion-MNIST network: ``python -m examples.fashion_mnist.train [--epochs 3]``."""

from __future__ import annotations

import argparse
import time

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from examples.fashion_mnist import data
from examples.fashion_mnist.model import WEIGHTS, FashionNet

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    images, labels = (torch.from_numpy(array.copy()) for array in data.train())
    model = FashionNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = options.epochs * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    started = time.perf_counter()
    for epoch in range(options.epochs):
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            if len(rows) < BATCH:
                continue
            batch = images[rows]
            batch = batch.flip(2) if torch.rand(1) < 0.5 else batch
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(batch)
            loss = F.cross_entropy(logits.float(), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        accuracy = _accuracy(model)
        spent_s = time.perf_counter() - started
        print(f"epoch {epoch + 1}  test accuracy {accuracy:.4f}  {spent_s:.0f} s", flush=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, WEIGHTS)


@torch.no_grad()
def _accuracy(model: FashionNet) -> float:
    model.eval()
    images, labels = (torch.from_numpy(array.copy()) for array in data.test())
    batches = zip(images.split(500), labels.split(500), strict=True)
    right = [(model(x).argmax(1) == y) for x, y in batches]
    return torch.cat(right).float().mean().item()


if __name__ == "__main__":
    main()
