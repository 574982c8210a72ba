"""Files of weights with a description and a checksum: safetensors whose header holds JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from offramp.errors import ConfigError
from offramp.files import open_file, write_file
from offramp.settings import describe_error

__all__ = ["Description", "digest_weights", "part_of", "read_weights", "write_weights"]

_KEY = "offramp"


class Description(BaseModel):
    """Base of what a file of weights says of itself; unknown keys and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


D = TypeVar("D", bound=Description)


def write_weights(path: Path, description: Description, tensors: Mapping[str, Tensor]) -> None:
    """Write a file, which appears whole or not at all; raise `ConfigError` if it cannot be."""
    plain, text = _plain(tensors), description.model_dump_json()
    write_file(path, save(plain, {_KEY: f"{_checksum(plain, text)} {text}"}))


def read_weights(path: Path, kind: type[D], remedy: str) -> tuple[D, dict[str, Tensor]]:
    """Read what `write_weights` wrote; raise `ConfigError` with a remedy if it is anything else."""
    open_file(path).close()
    try:
        with safe_open(path, framework="pt") as file:
            stored = (file.metadata() or {}).get(_KEY)
            if stored is None:
                raise ConfigError(f"{path}: was not written by offramp train; {remedy}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        checksum, _, text = stored.partition(" ")
        if checksum != _checksum(tensors, text):
            raise ConfigError(
                f"{path}: is damaged, or of another version of Offramp: its checksum is not that "
                f"of what it holds; {remedy}"
            )
        return kind.model_validate_json(text), tensors
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe_error(error)}; {remedy}") from None
    except (SafetensorError, OSError) as error:
        reason = f"is damaged, or no file of weights ({error})"
        raise ConfigError(f"{path}: {reason}; {remedy}") from None


def digest_weights(tensors: Mapping[str, Tensor]) -> str:
    """Return the first 16 hex digits of the SHA-256 of names, dtypes, shapes and values."""
    return hashlib.sha256(save(_plain(tensors))).hexdigest()[:16]


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _checksum(plain: Mapping[str, Tensor], text: str) -> str:
    """Return the SHA-256 of tensors and description; it is not of the file, which holds it."""
    return hashlib.sha256(save(dict(plain), {_KEY: text})).hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
