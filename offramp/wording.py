"""Wording: what pydantic found wrong with a value, in a plain sentence with what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic_core import ErrorDetails

__all__ = ["say_wrong"]

_NUMBER, _WHOLE, _LIST = "must be a number", "must be a whole number", "must be a list"
_MAPPING, _TEXT = "must hold keys with values", "must be a text"
_OTHER = "must have another form"

_SENTENCES: Mapping[str, str] = {
    "missing": "is missing; add it",
    "json_invalid": "is no JSON ({error})",
    "invalid_key": "must be a text, as every key; quote it",
    **dict.fromkeys(("model_type", "model_attributes_type", "dataclass_type"), _MAPPING),
    **dict.fromkeys(("dict_type", "mapping_type", "frozen_dict_type"), _MAPPING),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("iterable_type", "deque_type"), _LIST),
    **dict.fromkeys(("string_type", "string_unicode", "bytes_type", "path_type"), _TEXT),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    "int_parsing_size": "must be a whole number of fewer digits",
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    "finite_number": "must be a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "none_required": "must be null",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold at most {max_length}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "union_tag_invalid": "must have a {discriminator} of {expected_tags}",
    "union_tag_not_found": "must have the key {discriminator}",
}
"""What is said of pydantic's own errors; the others are of values that no setting takes."""

_WITHOUT_VALUE = ("missing", "json_invalid")

_BRANCH = re.compile(r"int|float|str|bool|none|[A-Z]\w*|.*[\[-].*")
"""What pydantic puts behind a key to tell the kinds apart that a value may be of."""


def say_wrong(errors: Sequence[ErrorDetails], whole: str = "the whole") -> str:
    """Say what is wrong with the first of the values that errors are of, and what was given.

    What is wrong with all of it is said of the ``whole``.
    """
    first = errors[0]
    together = [error for error in errors if _is_another_kind(first, error)]
    place = first["loc"][:-1] if len(together) > 1 else first["loc"]
    sentences = dict.fromkeys(map(_sentence, together if len(together) > 1 else [first]))
    said = " or ".join(sentences).replace(" or must be ", " or ")
    key = ".".join(map(str, place)) or whole
    if first["type"] in _WITHOUT_VALUE:
        return f"{key} {said}"
    given = repr(first["input"])
    return f"{key} {said} (given: {given if len(given) <= 60 else given[:57] + '...'})"


def _sentence(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "string_type" and isinstance(error["input"], int | float):
        return f"{_TEXT}; quote it"
    said = _SENTENCES.get(kind, _OTHER)
    return said.format_map({name: _plain(value) for name, value in context.items()})


def _is_another_kind(first: ErrorDetails, error: ErrorDetails) -> bool:
    """Tell whether an error is of the same value as the first, which may be of several kinds."""
    before, last = error["loc"][:-1], error["loc"][-1:]
    return (
        error["input"] is first["input"]
        and before == first["loc"][:-1]
        and all(_BRANCH.fullmatch(str(part)) for part in (*last, *first["loc"][-1:]))
    )


def _plain(value: object) -> object:
    """Return a limit as people write it: 86400, not 86400.0."""
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole else value  # type: ignore[call-overload]
