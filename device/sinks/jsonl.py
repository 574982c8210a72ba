"""Sink `jsonl`: one JSON object a line, in a file or on standard output."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from offramp.errors import ConfigError
from offramp.files import partial_beside, unwritable

__all__ = ["JsonLinesSink"]


class JsonLinesSink:
    """Writes every line; ``-`` is standard output. Raises `ConfigError` if it cannot write.

    A file appears with its first result, in the place of the one that was there: a run that comes
    to none leaves that as it was. A disk that fills up cuts it off after a whole line.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._stream: TextIO = sys.stdout
        self._path: Path | None = None
        self._partial: Path | None = None
        self._whole_bytes = 0
        try:
            if target != "-":
                self._open(Path(os.path.realpath(target)))
        except (OSError, ValueError) as error:  # the latter for a name that no system allows
            raise self._unwritable(error) from None

    def write(self, line: dict[str, Any]) -> None:
        """Write one line and hand it to the system, so that a reader sees it at once."""
        text = json.dumps(line) + "\n"
        try:
            self._stream.write(text)
            self._stream.flush()
            self._whole_bytes += len(text)  # it is ASCII
            if line["kind"] == "result":
                self._appear()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._give_up()
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Close the file; one without any result is gone then."""
        try:
            if self._stream is not sys.stdout:
                self._stream.close()
        finally:
            if self._partial is not None:
                self._partial.unlink(missing_ok=True)
                self._partial = None

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a device or a pipe is written as it stands
            self._stream = path.open("w", encoding="utf-8")
            return
        if path.exists():
            path.open("a").close()  # what is protected is not replaced
        self._path, self._partial = path, partial_beside(path)
        self._stream = self._partial.open("w", encoding="utf-8")

    def _appear(self) -> None:
        if self._partial is not None and self._path is not None:
            os.replace(self._partial, self._path)
            self._partial = None

    def _give_up(self) -> None:
        """Leave whole lines: neither a half of one nor what is buffered can be written."""
        shown = self._path if self._partial is None else None
        with contextlib.suppress(OSError):
            self.close()
        if shown is not None:
            with contextlib.suppress(OSError):
                os.truncate(shown, self._whole_bytes)

    def _unwritable(self, error: OSError | ValueError) -> ConfigError:
        named = "standard output" if self._target == "-" else self._target
        return unwritable(Path(named), error)
