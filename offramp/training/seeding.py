"""Randomness of a training: all of it from its seed, and none left behind."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["own_randomness", "seed_all"]


@contextmanager
def own_randomness() -> Iterator[None]:
    """Put the global generators of torch, numpy and Python back afterwards."""
    ours, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)


def seed_all(*numbers: int) -> torch.Generator:
    """Seed what a dataset or model may draw from; return a generator seeded alike."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
