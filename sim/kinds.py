"""Settings whose `kind` names the member of a registry that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BeforeValidator, ValidationInfo

from offramp.choices import choose
from offramp.settings import Settings

__all__ = ["of_kind"]

S = TypeVar("S", bound=Settings)


def of_kind(base: type[S], members: Mapping[str, type[S]]) -> BeforeValidator:
    """The validator that reads a mapping as the settings that its `kind` names.

    It stands before the validation of a field of the type `base`.
    """

    def read(value: Any, info: ValidationInfo) -> S:
        if isinstance(value, base):
            return value
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(kind, str):
            raise ValueError(f"needs a kind, one of {', '.join(members)}, not {kind!r}")
        return choose("kind", kind, members).model_validate(value, context=info.context)

    return BeforeValidator(read)
