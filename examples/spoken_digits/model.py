"""A network for spoken digits: from the microphone's samples to the answer, without an FFT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from examples.cluttered_digits.model import Block
from examples.encoder import EncoderLayer
from examples.training import load_weights

__all__ = ["LogMel", "SpeechNet", "trained"]

WEIGHTS = Path(__file__).with_name("weights.safetensors")
RATE_HZ = 8000
WINDOW, HOP = 200, 80  # 25 ms every 10 ms
BANDS = 40
WIDTH = 96


class LogMel(nn.Module):
    """Log energies in mel bands: int16 (batch, samples) to (batch, 1, bands, frames).

    The Fourier transform is a convolution with fixed weights, which every backend can run.
    """

    def __init__(self) -> None:
        super().__init__()
        bins = WINDOW // 2 + 1
        phase = 2 * np.pi * np.outer(np.arange(bins), np.arange(WINDOW)) / WINDOW
        waves = np.concatenate([np.cos(phase), np.sin(phase)]) * np.hanning(WINDOW)
        self.register_buffer("waves", _float(waves[:, None]), persistent=False)
        self.register_buffer("bands", _float(_mel_filters(bins)), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        signal = samples.to(torch.float32).unsqueeze(1) / 32768
        real, imaginary = F.conv1d(signal, self.waves, stride=HOP).chunk(2, 1)
        energy = self.bands @ (real * real + imaginary * imaginary)
        return (energy + 1e-4).log().unsqueeze(1)


class SpeechNet(nn.Module):
    """Two convolutional stages over bands and time, then six encoder layers over 25 frames.

    Takes int16 (batch, 8000), a second at 8 kHz.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames = LogMel()
        self.stem = nn.Sequential(
            nn.BatchNorm2d(1), nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.stage = Block(16, 32, 2)
        self.flatten = nn.Linear(32 * BANDS // 4, WIDTH)
        self.position = nn.Parameter(torch.randn(25, WIDTH) * 0.02)
        for at in range(1, 7):
            self.add_module(f"layer{at}", EncoderLayer(WIDTH, 4, dropout=0.1))
        self.norm = nn.LayerNorm(WIDTH)
        self.classify = nn.Linear(WIDTH, 10)

    def forward(self, samples: Tensor) -> Tensor:
        x = self.stage(self.stem(self.frames(samples)))
        x = self.flatten(x.permute(0, 3, 1, 2).flatten(2)) + self.position
        for at in range(1, 7):
            x = self.get_submodule(f"layer{at}")(x)
        return self.classify(self.norm(x).mean(1))


def trained() -> nn.Module:
    """Return the network with the weights that ``train.py`` wrote beside this file."""
    return load_weights(SpeechNet(), WEIGHTS)


def _mel_filters(bins: int) -> np.ndarray:
    """Return triangular filters (bands, bins), equally wide on the mel scale (O'Shaughnessy)."""
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    corners *= WINDOW / RATE_HZ
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    at = np.arange(bins)
    return np.maximum(0, np.minimum((at - low) / (peak - low), (high - at) / (high - peak)))


def _float(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
