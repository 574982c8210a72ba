"""Settings: YAML files checked against a typed model, unknown keys refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeGuard, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from offramp.choices import nearest
from offramp.errors import ConfigError
from offramp.files import read_file
from offramp.wording import say_wrong
from offramp.yaml_text import parse_yaml

__all__ = ["Settings", "build_settings", "describe_error", "load_settings", "load_texts"]

_REMOVE = "remove it or correct its name"
_UNKNOWN = "extra_forbidden"  # pydantic's own name for a key that a model does not have


class Settings(BaseModel):
    """Base of every settings model: frozen, with finite numbers that no truth value stands for.

    Unknown keys are refused. ``members`` are keys of lists, and what errors call one of a list.
    """

    members: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values; what was derived from the old ones is left behind."""
        copied = super().model_copy(update=update, deep=deep)
        for derived in copied.__dict__.keys() - type(copied).model_fields.keys():
            del copied.__dict__[derived]
        return copied

    @classmethod
    def known(cls, keys: Iterable[str]) -> Mapping[str, FieldInfo]:
        """Return the fields, and those of ``keys`` that a model with others takes besides."""
        return cls.model_fields

    @model_validator(mode="before")
    @classmethod
    def _is_plain(cls, values: Any) -> Any:
        """Refuse what pydantic would leave out or convert, or does not know the meaning of."""
        if _maps(values):
            known = cls.known(values)
            errors = [_unknown_key(k, v, known) for k, v in values.items() if k not in known]
            for key, value in values.items():
                if key in known:
                    errors += _truths(value, known[key].annotation, (key,))
            if errors:
                raise ValidationError.from_exception_data(cls.__name__, errors)
        return values


S = TypeVar("S", bound=Settings)


def load_settings(model: type[S], path: Path | None, overrides: dict[str, Any] | None = None) -> S:
    """Read a YAML file into ``model``; ``overrides`` win over it key by key, but for None.

    Validators find the file's folder in their context. Raises `ConfigError` naming the file, the
    key and the value that is wrong, be it overridden.
    """
    given, over = _read(path) if path else {}, overrides or {}
    folder = path.parent if path else None
    loaded = build_settings(model, _merged(given, over), str(path or "settings"), folder)
    hidden = {key for key in given if over.get(key) is not None and not isinstance(over[key], dict)}
    if hidden:
        _check_hidden(model, given, hidden, path)
    return loaded


def build_settings(model: type[S], values: object, origin: str, folder: Path | None = None) -> S:
    """Check plain values against ``model``; raise `ConfigError` that names ``origin`` and key."""
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        member, errors = _in_member(model, values, error.errors())
        raise ConfigError(f"{origin}: {member}{_describe(errors, 'the whole')}") from None


def load_texts(path: Path) -> dict[str, str]:
    """Read a YAML file of texts by name; raise `ConfigError` if a value is not a text."""
    values = _read(path)
    for key, value in values.items():
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {key} must be a text (given: {value!r}); quote it")
    return values


def describe_error(error: ValidationError, whole: str = "the whole") -> str:
    """Say in one line which key is wrong, or the ``whole``, how, and what was given."""
    return _describe(error.errors(), whole)


def _describe(errors: Sequence[ErrorDetails], whole: str) -> str:
    first = _first(errors)
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == _UNKNOWN:
        return f"unknown key {key!r}; {first.get('ctx', {}).get('advice', _REMOVE)}"
    if first["type"] == "value_error":  # one of our own, which names the value itself
        said = f"{key}: {first['msg']}" if key else first["msg"]
        return said.replace("Value error, ", "", 1)
    return say_wrong(errors, whole)


def _first(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """Return the error to tell: a misspelt key often makes another one missing."""
    return next((each for each in errors if each["type"] == _UNKNOWN), errors[0])


def _in_member(
    model: type[Settings], values: object, errors: list[ErrorDetails]
) -> tuple[str, list[ErrorDetails]]:
    """Return which member of a list an error is in, by name or number, and the errors in there."""
    key, *below = _first(errors)["loc"] or ("",)
    if key not in model.members or len(below) < 2 or not isinstance(values, Mapping):
        return "", errors
    given = values[key][below[0]]
    name = given.get("name") if isinstance(given, Mapping) else None
    called = repr(name) if isinstance(name, str) else str(int(below[0]) + 1)
    inside = [each for each in errors if each["loc"][:2] == (key, below[0])]
    for each in inside:
        each["loc"] = each["loc"][2:]
    return f"{model.members[str(key)]} {called}: ", inside


def _check_hidden(
    model: type[Settings], values: dict[str, Any], hidden: set[str], path: Path | None
) -> None:
    """Raise `ConfigError` if a file's value is wrong of a key that an option overrides."""
    try:
        model.model_validate(values, context={"folder": path.parent if path else None})
    except ValidationError as error:
        wrong = [each for each in error.errors() if each["loc"][:1] and each["loc"][0] in hidden]
        if wrong:
            raise ConfigError(f"{path}: {_describe(wrong, 'the whole')}") from None


def _merged(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in overrides.items():
        below = merged.get(key, {})
        if isinstance(value, dict):
            merged[key] = _merged(below, value) if isinstance(below, dict) else below
        elif value is not None:
            merged[key] = value
    return merged


def _maps(values: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(values, Mapping) and all(isinstance(key, str) for key in values)


def _unknown_key(key: str, value: object, known: Mapping[str, Any]) -> InitErrorDetails:
    advice, meant = _REMOVE, nearest(key, known)
    if _maps(value) and value and all(below in known for below in value):
        advice = "what stands below it belongs here: remove its line and the indentation below it"
    elif meant:
        advice = f"did you mean {meant!r}?"
    kind = PydanticCustomError(_UNKNOWN, "unknown key", {"advice": advice})
    return InitErrorDetails(type=kind, loc=(key,), input=value)


def _truths(
    value: object, annotation: Any, at: tuple[str | int, ...]
) -> Iterator[InitErrorDetails]:
    """Yield an error for every truth value where numbers are meant: pydantic takes true for 1."""
    if isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _truths(one, annotation, (*at, number))
    elif isinstance(value, bool):
        leaves = list(_leaves(annotation))
        if bool not in leaves and (int in leaves or float in leaves):
            said = f"{str(value).lower()} is no number; give one"
            kind = PydanticCustomError("value_error", said)
            yield InitErrorDetails(type=kind, loc=at, input=value)


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of, and what is said of them."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for one in arguments:
        yield from _leaves(one)


def _read(path: Path) -> dict[str, Any]:
    values = parse_yaml(read_file(path), str(path))
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{path}: the file must hold keys with values")
    return values
