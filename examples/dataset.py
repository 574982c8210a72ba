"""Files of the examples' data sets: where they are looked for, and that they are the right ones."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offramp.errors import ConfigError
from offramp.files import read_file, write_file

__all__ = ["DataSet", "Samples", "shuffled"]

SHARED = Path(__file__).parents[2] / "shared" / "data"
CACHE = Path.home() / ".cache" / "offramp"

Samples = tuple[np.ndarray, np.ndarray]
"""Inputs (N, ...) and int64 labels (N,), as ``offramp compile`` takes them."""


@dataclass(frozen=True)
class DataSet:
    """A data set's files, by name with their SHA-256.

    They are read from the folder that the environment variable ``variable`` names, by default
    from ``../shared/data/NAME`` beside the repository. What is not there is downloaded from
    ``url``, if there is one, to ``~/.cache/offramp/NAME``.
    """

    name: str
    variable: str
    sha256: Mapping[str, str]
    url: str = ""

    def read(self, file: str) -> bytes:
        """Return a file's bytes; raise `ConfigError` if it is missing or not the right one."""
        given = Path(os.environ.get(self.variable, SHARED / self.name))
        cached = CACHE / self.name / file
        for path in (given / file, cached):
            if path.is_file():
                return self._checked(file, read_file(path), f"{path}; remove it")
        advice = f"set {self.variable} to the folder that has it"
        if not self.url:
            raise ConfigError(f"{file} is not in {given}; {advice}")
        try:
            with urllib.request.urlopen(self.url + file, timeout=60) as reply:
                data = self._checked(file, reply.read(), f"{self.url}{file}; {advice}")
        except (urllib.error.URLError, TimeoutError) as error:
            raise ConfigError(
                f"{file} is not in {given} and cannot be downloaded ({error}); {advice}"
            ) from None
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_file(cached, data)
        return data

    def _checked(self, file: str, data: bytes, origin: str) -> bytes:
        if hashlib.sha256(data).hexdigest() != self.sha256[file]:
            raise ConfigError(f"another file than {self.name}'s, by its SHA-256: {origin}")
        return data


def shuffled(inputs: np.ndarray, labels: np.ndarray) -> Samples:
    """Return samples in another order, always the same, so that the first ones are of all kinds."""
    order = np.random.RandomState(0).permutation(len(labels))  # numpy keeps its numbers for ever
    return inputs[order], labels[order].astype(np.int64)
