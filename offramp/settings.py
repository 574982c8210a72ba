"""Settings: YAML files checked against a typed model, unknown keys refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from offramp.choices import nearest
from offramp.errors import ConfigError
from offramp.files import read_file

__all__ = ["Settings", "build_settings", "describe_error", "load_settings", "load_texts"]

_UNKNOWN = "extra_forbidden"  # pydantic's own name for a key that a model does not have


class Settings(BaseModel):
    """Base of every settings model: frozen, numbers finite, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _has_only_known_keys(cls, values: Any) -> Any:
        """Refuse unknown keys here rather than in pydantic, which does not know what was meant."""
        unknown = [key for key in values if key not in cls.model_fields] if _maps(values) else []
        if unknown:
            errors = [_unknown_key(key, values[key], cls.model_fields) for key in unknown]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return values


S = TypeVar("S", bound=Settings)


def load_settings(model: type[S], path: Path | None, overrides: dict[str, Any] | None = None) -> S:
    """Read a YAML file into ``model``; ``overrides`` win over it key by key, but for None.

    Validators find the file's folder in their context. Raises `ConfigError` naming the file, the
    key and the value that is wrong.
    """
    values = _merged(_read(path) if path else {}, overrides or {})
    folder = path.parent if path else None
    return build_settings(model, values, str(path or "settings"), folder)


def build_settings(model: type[S], values: object, origin: str, folder: Path | None = None) -> S:
    """Check plain values against ``model``; raise `ConfigError` that names ``origin`` and key."""
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        raise ConfigError(f"{origin}: {describe_error(error)}") from None


def load_texts(path: Path) -> dict[str, str]:
    """Read a YAML file of texts by name; raise `ConfigError` if a value is not a text."""
    values = _read(path)
    for key, value in values.items():
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {key} must be a text (given: {value!r}); quote it")
    return values


def describe_error(error: ValidationError) -> str:
    """Say in one line which key is wrong, how, and what was given."""
    errors = error.errors()
    unknown = (e for e in errors if e["type"] == _UNKNOWN)
    first = next(unknown, errors[0])  # a misspelt key often makes another one missing
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == _UNKNOWN:
        meant = first.get("ctx", {}).get("meant")
        advice = f"did you mean {meant!r}?" if meant else "remove it or correct its name"
        return f"unknown key {key!r}; {advice}"
    said = f"{key}: {first['msg']}" if key else first["msg"]
    if first["type"] == "value_error":  # one of our own, which names the value itself
        return said.replace("Value error, ", "", 1)
    given = repr(first["input"])
    return f"{said} (given: {given if len(given) <= 60 else given[:57] + '...'})"


def _merged(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in overrides.items():
        below = merged.get(key, {})
        if isinstance(value, dict):
            merged[key] = _merged(below, value) if isinstance(below, dict) else below
        elif value is not None:
            merged[key] = value
    return merged


def _maps(values: object) -> bool:
    return isinstance(values, Mapping) and all(isinstance(key, str) for key in values)


def _unknown_key(key: str, value: object, known: Mapping[str, Any]) -> InitErrorDetails:
    kind = PydanticCustomError(_UNKNOWN, "unknown key", {"meant": nearest(key, known)})
    return InitErrorDetails(type=kind, loc=(key,), input=value)


def _read(path: Path) -> dict[str, Any]:
    import yaml  # here, since most starts have no file

    try:
        values = yaml.safe_load(read_file(path).decode())
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text in UTF-8; name a YAML file") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{path}: not valid YAML{line}; correct the file") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{path}: the file must hold keys with values")
    return values
