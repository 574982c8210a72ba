"""Choices: every registry names the nearest member of a wrong name, and all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offramp import backends, codecs, exits
from offramp.choices import choose, nearest
from offramp.errors import ConfigError
from partitioner import strategies


def test_a_member_is_found_by_its_name() -> None:
    assert choose("number", "two", {"one": 1, "two": 2}) == 2


def test_a_wrong_name_gets_all_names_and_the_nearest() -> None:
    members = {"device_only": 1, "offramp": 2}
    with pytest.raises(ConfigError) as caught:
        choose("strategy", "oframp", members)
    assert str(caught.value) == (
        "unknown strategy 'oframp'; did you mean 'offramp'? Choose one of device_only, offramp"
    )
    with pytest.raises(ConfigError) as caught:
        choose("strategy", "best", members)
    assert str(caught.value) == "unknown strategy 'best'; choose one of device_only, offramp"


def test_nearest_is_none_where_nothing_is_near() -> None:
    assert nearest("deadline", ["deadline_s", "inbox"]) == "deadline_s"
    assert nearest("zzz", ["deadline_s", "inbox"]) is None
    assert nearest("a", []) is None


@pytest.mark.parametrize(
    ("get", "wrong", "meant"),
    [
        (codecs.get, "afine8", "affine8"),
        (backends.get, "onnx-runtime", "onnxruntime"),
        (exits.get, "confidance", "confidence"),
        (strategies.get, "server-only", "server_only"),
    ],
)
def test_every_registry_says_what_was_meant(
    get: Callable[[str], object], wrong: str, meant: str
) -> None:
    with pytest.raises(ConfigError, match=f"'{wrong}'; did you mean '{meant}'"):
        get(wrong)
    get(meant)
