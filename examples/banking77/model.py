"""A small transformer for Banking77; its exits are put on when it is compiled."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from examples.banking77.data import LENGTH, PIECES
from examples.banking77.vocabulary import PADDING
from examples.encoder import EncoderLayer
from examples.training import load_weights

__all__ = ["IntentNet", "trained"]

WEIGHTS = Path(__file__).with_name("weights.safetensors")
WIDTH = 96
INTENTS = 77


class IntentNet(nn.Module):
    """Six encoder layers, 96 wide, for int32 word pieces (batch, 32), padded at the end.

    What is padding is worked out from the pieces. Behind each layer it is zero, so that an exit
    may average over all 32 places.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(PIECES, WIDTH)
        self.position = nn.Parameter(torch.randn(LENGTH, WIDTH) * 0.02)
        self.dropout = nn.Dropout(0.2)
        for at in range(1, 7):
            self.add_module(f"layer{at}", EncoderLayer(WIDTH, 4, dropout=0.2))
        self.norm = nn.LayerNorm(WIDTH)
        self.classify = nn.Linear(WIDTH, INTENTS)
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(self, pieces: Tensor) -> Tensor:
        # An empty text keeps its first place: attention to nothing would be no number.
        present = (pieces != PADDING) | (torch.arange(LENGTH, device=pieces.device) == 0)
        x = self.dropout(self.embed(pieces) + self.position) * present.unsqueeze(2)
        for at in range(1, 7):
            x = self.get_submodule(f"layer{at}")(x, present)
        mean = x.sum(1) / present.sum(1, keepdim=True)
        return self.classify(self.norm(mean))


def trained() -> nn.Module:
    """Return the network with the weights that ``train.py`` wrote beside this file."""
    return load_weights(IntentNet(), WEIGHTS)
