"""Models of the transformers library, by hub id or local folder, with inputs to trace them by."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from torch import nn

from offramp.errors import CaptureError, ConfigError
from offramp.samples import Samples
from offramp.tensors import Array

__all__ = ["answer_at_once", "example_inputs", "load_model"]

_SEQUENCE, _AUDIO_SAMPLES, _FRAMES, _IMAGE = 64, 16_000, 128, 224


def load_model(name: str) -> nn.Module:
    """Load the model that a folder or hub id names, of the class that its configuration names.

    Weights are read from safetensors alone: the other form can run code. Raises `ConfigError` that
    says what cannot be read, or which weights are not there: the library would draw them at random.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        config = transformers.AutoConfig.from_pretrained(name)
        kind = getattr(transformers, (config.architectures or ["AutoModel"])[0])
        model, info = kind.from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # the library raises many kinds, most of them over several lines
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"transformers cannot load {name!r} ({reason}); give a local folder with config.json "
            "and model.safetensors, or an id of a hub that can be reached"
        ) from None
    unset = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if unset:
        raise ConfigError(
            f"{name!r} holds no weights of their shape for {len(unset)} parameters of "
            f"{kind.__name__} ({', '.join(unset[:5])}{', ...' if len(unset) > 5 else ''}); train "
            "the model, or give a folder with a model of that class"
        )
    assert isinstance(model, nn.Module)
    return answer_at_once(model).eval()


def answer_at_once(model: nn.Module) -> nn.Module:
    """Have a model answer in one pass of ATen operations, its outputs by name, and return it.

    Experts are multiplied with all at once: the library's other ways choose them by value or have
    operations of their own.
    """
    config: Any = model.config
    config.use_cache = False
    config.return_dict = True
    config._experts_implementation = "batched_mm"
    return model


def example_inputs(model: nn.Module, count: int = 8, seed: int = 0) -> Samples:
    """Return ``count`` random inputs of the shape that the model's configuration states.

    Raises `CaptureError` if the model takes something else than pixels, tokens or sound.
    """
    config: Any = model.config
    random = np.random.default_rng(seed)
    name = str(getattr(model, "main_input_name", "input_ids"))
    takes = inspect.signature(model.forward).parameters
    inputs: dict[str, Array] = {}
    if name == "pixel_values":
        inputs[name] = random.standard_normal((count, *_image(config)), dtype=np.float32)
    elif name == "input_values":
        shape = (count, *_spectrogram(config))
        inputs[name] = random.standard_normal(shape, dtype=np.float32)
    elif name == "input_features":
        shape = (count, config.num_mel_bins, 2 * config.max_source_positions)
        inputs[name] = random.standard_normal(shape, dtype=np.float32)
    elif name == "input_ids":
        length = min(_SEQUENCE, int(getattr(config, "max_position_embeddings", _SEQUENCE)))
        inputs[name] = random.integers(3, config.vocab_size, (count, length))
        if "attention_mask" in takes:
            inputs["attention_mask"] = np.ones((count, length), np.int64)
        if config.is_encoder_decoder and "decoder_input_ids" in takes:
            inputs["decoder_input_ids"] = random.integers(3, config.vocab_size, (count, 8))
    else:
        raise CaptureError(f"the model takes {name!r}; give inputs for it with --example")
    return Samples(tuple(inputs.values()), keywords=tuple(inputs))


def _image(config: Any) -> tuple[int, ...]:
    size = getattr(config, "image_size", None) or _IMAGE
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    return int(getattr(config, "num_channels", 3)), *(int(side) for side in sides[-2:])


def _spectrogram(config: Any) -> tuple[int, ...]:
    """Return the shape of one sound: a waveform, or a spectrogram where the model takes that."""
    if hasattr(config, "max_length") and hasattr(config, "num_mel_bins"):
        return int(config.max_length), int(config.num_mel_bins)
    return (_AUDIO_SAMPLES,)
