"""Sink `jsonl`: one JSON object a line, in a file or on standard output."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any, TextIO

from offramp.errors import ConfigError

__all__ = ["JsonLinesSink"]


class JsonLinesSink:
    """Writes every line; ``-`` is standard output. Raises `ConfigError` if it cannot write."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._stream: TextIO
        try:
            self._stream = sys.stdout if target == "-" else _create(Path(target))
        except OSError as error:
            raise ConfigError(f"{target}: cannot be written ({error.strerror})") from None

    def write(self, line: dict[str, Any]) -> None:
        """Write one line and hand it to the system, so that a reader sees it at once."""
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError):  # what is buffered cannot be written either
                self.close()
            raise ConfigError(f"{self._target}: cannot be written ({error.strerror})") from None

    def close(self) -> None:
        """Close the file."""
        if self._stream is not sys.stdout:
            self._stream.close()


def _create(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8")
