"""Settings: YAML files checked against a typed model, unknown keys refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from offramp.errors import ConfigError

__all__ = ["Settings", "describe_error", "load_settings", "load_texts", "merge_settings"]


class Settings(BaseModel):
    """Base of every settings model: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)


def load_settings(model: type[S], path: Path | None, overrides: dict[str, Any] | None = None) -> S:
    """Read a YAML file into ``model``; ``overrides`` (None values ignored) win over the file.

    Raises `ConfigError` naming the file, the key and the value that is wrong.
    """
    values = _read(path) if path else {}
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        return model.model_validate({**values, **given})
    except ValidationError as error:
        raise ConfigError(f"{path or 'settings'}: {describe_error(error)}") from None


def load_texts(path: Path) -> dict[str, str]:
    """Read a YAML file of texts by name; raise `ConfigError` if a value is not a text."""
    values = _read(path)
    for key, value in values.items():
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {key} must be a text (given: {value!r}); quote it")
    return values


def merge_settings(settings: S, overrides: dict[str, Any]) -> S:
    """Return ``settings`` with other values for some keys, checked again."""
    try:
        return type(settings).model_validate({**settings.model_dump(), **overrides})
    except ValidationError as error:
        raise ConfigError(f"settings: {describe_error(error)}") from None


def describe_error(error: ValidationError) -> str:
    """Say in one line which key is wrong, how, and what was given."""
    errors = error.errors()
    unknown = (e for e in errors if e["type"] == "extra_forbidden")
    first = next(unknown, errors[0])  # a misspelt key often makes another one missing
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}; remove it or correct its name"
    message = first["msg"].removeprefix("Value error, ")
    given = repr(first.get("input"))
    given = given if len(given) <= 60 else given[:57] + "..."
    return f"{key}: {message} (given: {given})"


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{path}: not valid YAML{line}; correct the file") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{path}: the file must hold keys with values")
    return values
