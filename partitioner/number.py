"""Numbers in settings: as YAML has them, and texts such as 1e-3, but no truth values."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["Number"]


def _refuse_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number; give one")
    return value


Number = Annotated[float, BeforeValidator(_refuse_truth)]
"""A float; the models of `offramp.settings` take no infinite ones."""
