"""An entry of the zoo, and how those of the transformers library are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from offramp.capture.huggingface import answer_at_once
from offramp.samples import Samples

__all__ = [
    "COUNT",
    "Entry",
    "arrays",
    "draw_weights",
    "from_transformers",
    "images",
    "settle_norms",
    "sentences",
    "tokens",
    "unmasked",
    "waves",
]

COUNT = 8
CLASSES = 10


@dataclass(frozen=True)
class Entry:
    """A model of the table: ``build`` makes it anew, the same each time, with `COUNT` samples."""

    name: str
    family: str
    build: Callable[[], tuple[nn.Module, Samples]]


def from_transformers(
    family: str, name: str, kind: str, samples: Callable[[], Samples], **settings: Any
) -> Entry:
    """Return an entry for a class of the library, built from ``settings`` of its configuration.

    ``kind`` names the class, or after a dot a sub-module of it.
    """
    return Entry(name, family, partial(_build, kind, samples, settings))


def _build(
    kind: str, samples: Callable[[], Samples], settings: dict[str, Any]
) -> tuple[nn.Module, Samples]:
    import transformers

    transformers.logging.set_verbosity_error()
    name, _, part = kind.partition(".")
    model_class = getattr(transformers, name)
    settings = {key: _configure(value, transformers) for key, value in settings.items()}
    torch.manual_seed(0)
    model = model_class(model_class.config_class(num_labels=CLASSES, **settings))
    answer_at_once(model)
    return settle_norms(draw_weights(model.get_submodule(part)), samples())


def _configure(value: Any, transformers: Any) -> Any:
    """Return a setting; a pair of a configuration's class and its settings becomes one."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], dict):
        return getattr(transformers, value[0])(**value[1])
    return value


def draw_weights(model: nn.Module) -> nn.Module:
    """Draw weights by which every branch counts; initial ones are too small at this width."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in (*model.named_parameters(), *model.named_buffers()):
            if not weight.is_floating_point() or not _is_drawn(name, weight):
                continue
            if weight.dim() > 1:
                inputs = weight.shape[1:].numel() if "embed" not in name else 1
                weight.normal_(0, (2 / inputs) ** 0.5, generator=random)
            elif name.endswith("running_var"):
                weight.uniform_(0.2, 1, generator=random)
            else:
                weight.add_(0.2 * torch.randn(weight.shape, generator=random))
    return model.eval()


def settle_norms(model: nn.Module, samples: Samples) -> tuple[nn.Module, Samples]:
    """Give batch normalisations the statistics of the samples, and return both.

    With statistics drawn at random a deep network magnifies rounding until single precision
    differs from double by a thousandth: nothing could be proven of it.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        keyword = {name: torch.tensor(array) for name, array in samples.keyword.items()}
        with torch.no_grad():
            model(*map(torch.tensor, samples.positional), **keyword)
    return model.eval(), samples


def _is_drawn(name: str, weight: Tensor) -> bool:
    is_buffer = not isinstance(weight, nn.Parameter)
    return not is_buffer or name.endswith(("running_mean", "running_var"))


def images(size: int = 64) -> Samples:
    """Return images of ``size`` x ``size`` as the library takes them."""
    pixels = _random().standard_normal((COUNT, 3, size, size), dtype=np.float32)
    return Samples((pixels,), keywords=("pixel_values",))


def tokens(length: int = 32, words: int = 100, **further: int) -> Samples:
    """Return tokens with a mask of different lengths; ``further`` inputs are below a number."""
    random = _random()
    ids = random.integers(4, words, (COUNT, length))
    lengths = random.integers(length // 2, length + 1, (COUNT, 1))
    mask = (np.arange(length) < lengths).astype(np.int64)
    more = [random.integers(0, below, (COUNT, length)) for below in further.values()]
    names = "input_ids", "attention_mask", *further
    return Samples((ids * mask + (1 - mask), mask, *more), keywords=names)


def unmasked(length: int = 32, words: int = 100) -> Samples:
    """Return tokens alone."""
    return Samples((_random().integers(4, words, (COUNT, length)),), keywords=("input_ids",))


def sentences(length: int = 32) -> Samples:
    """Return tokens that each end with the token 3."""
    ids = _random().integers(4, 100, (COUNT, length))
    ids[:, -1] = 3
    return Samples((ids, np.ones_like(ids)), keywords=("input_ids", "attention_mask"))


def waves(length: int = 8000) -> Samples:
    """Return half a second of noise at 16 kHz."""
    sound = _random().standard_normal((COUNT, length), dtype=np.float32)
    return Samples((sound,), keywords=("input_values",))


def arrays(*shapes: tuple[int, ...], names: tuple[str, ...] = ()) -> Samples:
    """Return noise, one float32 array (COUNT, *shape) a tensor."""
    random = _random()
    noise = [random.standard_normal((COUNT, *shape), dtype=np.float32) for shape in shapes]
    return Samples(tuple(noise), keywords=names)


def _random() -> np.random.Generator:
    return np.random.default_rng(0)
