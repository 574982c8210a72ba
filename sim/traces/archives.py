"""Traces in zip archives, each addressed like a file in a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

from offramp.errors import ConfigError
from offramp.files import open_file
from sim.traces.lines import unpacked_text
from sim.traces.named import the_one_named

__all__ = ["SUFFIX", "archive_of", "member_text"]

SUFFIX = ".zip"


def archive_of(path: Path) -> Path | None:
    """Return the archive if a path names one, or a trace in one."""
    return next((one for one in (path, *path.parents) if one.suffix == SUFFIX), None)


def member_text(path: Path) -> tuple[str, str | None]:
    """The text of ``FILE.zip/NAME``, and the column of ``FILE.zip/NAME/COLUMN``, else None.

    The end of a name is enough where only one ends so. Raises `ConfigError` if there is none.
    """
    home = archive_of(path)
    assert home is not None
    wanted = path.relative_to(home)
    with open_file(home) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
                name, column = _member(home, names, wanted)
                with archive.open(name) as member:
                    return unpacked_text(path, member), column
        except ConfigError:
            raise
        except Exception:  # zipfile's reader raises many kinds
            raise ConfigError(
                f"archive {home} is damaged or encrypted: name a zip file of text files"
            ) from None


def _member(home: Path, names: list[str], wanted: Path) -> tuple[str, str | None]:
    holder = wanted.parent.as_posix()
    in_holder = [name for name in names if f"/{name}".endswith(f"/{holder}")]
    if len(wanted.parts) > 1 and len(in_holder) == 1:
        return in_holder[0], wanted.name
    return names[the_one_named(home, names, wanted.as_posix())], None
