"""The error tree drawn in the docstring is the error tree."""

from __future__ import annotations

import inspect
import re

from offramp import errors

LINE = re.compile(
    r"^( *(?:[│ ]   )*(?:├── |└── )?)(\w+Error) +(?:exit code|(\d+)) +([\w ]+?)(?:  |$)"
)


def _classes() -> dict[str, type[errors.OfframpError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.OfframpError)
    }


def test_every_class_is_public_and_sorted() -> None:
    assert sorted(_classes()) == errors.__all__


def test_the_tree_drawn_is_the_tree_there_is() -> None:
    drawn: dict[str, tuple[str | None, str, str]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            indent, name, code, status = match.groups()
            depth = (len(indent) - 4) // 4
            del above[depth:]
            drawn[name] = (above[-1] if above else None, code, status)
            above.append(name)
    there = {
        name: (found.__base__.__name__, str(found.exit_code), found.status)
        for name, found in _classes().items()
        if found is not errors.OfframpError and found.__base__
    }
    assert drawn.pop("OfframpError") == (None, None, "gRPC status")
    assert drawn == there


def test_every_class_says_what_it_is() -> None:
    for found in _classes().values():
        assert (inspect.getdoc(found) or "").split("\n")[0].endswith(".")
