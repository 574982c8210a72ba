"""What is wrong with a value is said in our words, whatever pydantic found."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import core_schema

from offramp.settings import describe_error
from offramp.wording import say_wrong

RAW = re.compile(
    r"\b(Input|String|List|Tuple|Field|Extra|Keys|Value error|Unable|valid|should|permitted|"
    r"required|pydantic|instance|dictionary)\b"
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    x: int


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]

CASES: list[tuple[Any, Any, str]] = [
    (int, "many", "key must be a whole number (given: 'many')"),
    (int, 1.5, "key must be a whole number (given: 1.5)"),
    (int, [1], "key must be a whole number (given: [1])"),
    (int, "9" * 5000, "key must be a whole number of fewer digits (given: '" + "9" * 56 + "...)"),
    (float, "many", "key must be a number (given: 'many')"),
    (float, None, "key must be a number (given: None)"),
    (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "key must be a finite number"),
    (bool, "perhaps", "key must be true or false (given: 'perhaps')"),
    (bool, [], "key must be true or false (given: [])"),
    (None, 3, "key must be null (given: 3)"),
    (str, 3, "key must be a text; quote it (given: 3)"),
    (str, [3], "key must be a text (given: [3])"),
    (Path, 3, "key must be a text (given: 3)"),
    (Annotated[float, Field(gt=0)], 0.0, "key must be above 0 (given: 0.0)"),
    (Annotated[float, Field(ge=0.5)], 0.25, "key must be at least 0.5 (given: 0.25)"),
    (Annotated[float, Field(lt=1)], 1, "key must be below 1 (given: 1)"),
    (Annotated[float, Field(le=86400.0)], 1e9, "key must be at most 86400 (given: 1000000000.0)"),
    (Annotated[int, Field(multiple_of=4)], 6, "key must be a multiple of 4 (given: 6)"),
    (Literal["ok", "late"], "no", "key must be 'ok' or 'late' (given: 'no')"),
    (Colour, "green", "key must be 'red' or 'blue' (given: 'green')"),
    (list[int], 3, "key must be a list (given: 3)"),
    (tuple[int, ...], "ab", "key must be a list (given: 'ab')"),
    (set[int], 3, "key must be a list (given: 3)"),
    (list[int], [1, "a"], "key.1 must be a whole number (given: 'a')"),
    (tuple[int, int], [1], "key.1 is missing; add it"),
    (Annotated[list[int], Field(min_length=1)], [], "key must hold at least 1 (given: [])"),
    (Annotated[list[int], Field(max_length=1)], [1, 2], "key must hold at most 1"),
    (Annotated[str, Field(min_length=2)], "a", "key must have at least 2 characters (given: 'a')"),
    (Annotated[str, Field(max_length=2)], "abc", "key must have at most 2 characters"),
    (Annotated[str, Field(pattern="^a+$")], "b", "key must match the pattern ^a+$ (given: 'b')"),
    (dict[str, int], 3, "key must hold keys with values (given: 3)"),
    (Inner, 3, "key must hold keys with values (given: 3)"),
    (Inner, {}, "key.x is missing; add it"),
    (Inner, {"x": "y"}, "key.x must be a whole number (given: 'y')"),
    (Pet, {"kind": "cow"}, "key must have a 'kind' of 'cat', 'dog' (given: {'kind': 'cow'})"),
    (Pet, {}, "key must have the key 'kind' (given: {})"),
    (int | list[int], "a", "key must be a whole number or a list (given: 'a')"),
    (float | Inner | None, "a", "key must be a number or must hold keys with values (given: 'a')"),
]


@pytest.mark.parametrize(("kind", "value", "said"), CASES)
def test_a_wrong_value_is_told_with_its_key_and_what_is_allowed(
    kind: Any, value: Any, said: str
) -> None:
    model = create_model("Model", key=(kind, ...))
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"key": value})
    described = describe_error(caught.value)
    assert described == said if said.endswith(")") or "missing" in said else said in described
    assert not RAW.search(described)


def test_two_keys_that_are_wrong_alike_are_not_one_value_of_two_kinds() -> None:
    model = create_model("Model", one=(int, ...), two=(float, ...))
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"one": "a", "two": "a"})
    assert describe_error(caught.value) == "one must be a whole number (given: 'a')"


def test_what_is_wrong_as_a_whole_is_said_to_be() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, int]).validate_python([1])
    assert describe_error(caught.value) == "the whole must hold keys with values (given: [1])"


def test_what_is_no_json_is_told_with_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        Inner.model_validate_json(b"hello")
    said = "the whole is no JSON (expected value at line 1 column 1)"
    assert describe_error(caught.value) == said


@pytest.mark.parametrize("kind", get_args(core_schema.ErrorType))
def test_no_error_of_pydantic_is_told_in_its_words(kind: Any) -> None:
    limits = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")
    context = dict.fromkeys((*limits, "expected", "discriminator", "expected_tags", "error"), 3)
    message = "Input should be a valid something"
    described = say_wrong(
        [{"type": kind, "loc": ("key",), "msg": message, "input": "given", "ctx": context}]
    )
    assert described.startswith(("key must ", "key is "))
    assert not RAW.search(described)
