"""The rows of a trace file, and the error that names one of them."""

from __future__ import annotations

import codecs
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from offramp.errors import ConfigError
from offramp.files import open_file
from offramp.names import printable

__all__ = ["Row", "bad_row", "numbered_rows", "quoted", "read_text", "unpacked_text"]

_LIMIT_BYTES = 256 << 20
_LIMIT_LINES = 5_000_000  # each takes over a microsecond and a hundred bytes
_SHOWN = 40  # characters of a line that an error quotes
_GZIP_MAGIC = b"\x1f\x8b"


class Row(NamedTuple):
    """A line: its number, counted from 1, its fields, and its text as it stands in the file."""

    number: int
    fields: list[str]
    text: str


def read_text(path: Path) -> str:
    """The text of a trace file, decompressed if it is gzip."""
    with open_file(path) as stream:
        return unpacked_text(path, stream)


def unpacked_text(path: Path, stream: IO[bytes]) -> str:
    """The text that a stream holds, decompressed if it is gzip; `path` says in errors where."""
    try:
        content = stream.read(_LIMIT_BYTES + 1)
        if content[:2] == _GZIP_MAGIC:
            with gzip.open(BytesIO(content)) as packed:
                content = packed.read(_LIMIT_BYTES + 1)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
        raise ConfigError(f"trace {path} is damaged: name a text file, plain or gzip") from None
    if len(content) > _LIMIT_BYTES:
        raise ConfigError(f"trace {path} holds more than {_LIMIT_BYTES} bytes: give a shorter one")
    if max(content.count(b"\n"), content.count(b"\r")) > _LIMIT_LINES:
        raise ConfigError(f"trace {path} holds more than {_LIMIT_LINES} lines: give a shorter one")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode("ascii")  # which spreadsheets write
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"trace {path} is not text (byte {error.start}): name a text file, plain or gzip"
        ) from error


def numbered_rows(text: str) -> Iterator[Row]:
    """Every row that is no comment, which starts with #, nor blank.

    Commas part its fields, which may be empty, and spaces do where there is no comma. Quotes
    around a field, as spreadsheets write them, are no part of it.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            fields = line.split(",") if "," in line else line.split()
            yield Row(number, [_unquoted(field.strip()) for field in fields], line)


def _unquoted(field: str) -> str:
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].strip() if quoted else field


def bad_row(path: Path, row: Row, why: str) -> ConfigError:
    """The error for a row that is wrong: `why` says what and what to do."""
    return ConfigError(f"trace {path}, line {row.number}: {quoted(row.text.strip())} {why}")


def quoted(text: str) -> str:
    """What an error shows of a line or a field: its beginning, if it is long."""
    text = printable(text)
    return f"'{text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'}'"
