"""Train the network for spoken digits: ``python -m examples.spoken_digits.train``."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from examples import training
from examples.spoken_digits import data
from examples.spoken_digits.model import WEIGHTS, SpeechNet


def vary(clips: Tensor, random: Generator) -> Tensor:
    """Begin each clip up to 0.2 s later, make it up to 6 dB louder or softer, and add noise."""
    clips = clips.float()
    count, length = clips.shape
    starts = torch.randint(0, 1600, (count, 1), generator=random)
    clips = clips.gather(1, (torch.arange(length) - starts) % length)
    gains = 2 ** (2 * torch.rand(count, 1, generator=random) - 1)
    loudness = 10 ** (3 * torch.rand(count, 1, generator=random))
    noise = loudness * torch.randn(clips.shape, generator=random)
    return (clips * gains + noise).clamp(-32768, 32767).to(torch.int16)


if __name__ == "__main__":
    recipe = training.Recipe(epochs=15, rate=2e-3, augment=vary, bfloat16=False)
    training.train(SpeechNet, data, recipe, WEIGHTS)
