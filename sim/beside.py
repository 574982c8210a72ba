"""Files that a description names, looked for beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

__all__ = ["FileBeside"]


def _beside(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return folder / path if folder else path


FileBeside = Annotated[Path, AfterValidator(_beside)]
"""The type of a settings field with a path that counts from the folder of the file it is in."""
