"""References: Python objects named on a command line as ``module:name``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from offramp.errors import ConfigError, OfframpError

__all__ = ["call_reference", "load_reference"]


def load_reference(reference: str) -> Callable[..., Any]:
    """Return the callable that ``module:name`` names; the working directory is searched too.

    Raises `ConfigError` that says which part of the reference cannot be found.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        raise ConfigError(f"{reference!r} is not of the form module:name, such as mynet:build")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"module {module_name!r} cannot be imported ({reason})") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise ConfigError(f"module {module_name!r} has no function or class {name!r}")
    return found  # type: ignore[no-any-return]


def call_reference(reference: str) -> Any:
    """Call the function that ``module:name`` names, without arguments, and return its result.

    Raises `ConfigError` that says what it raised, if it did.
    """
    function = load_reference(reference)
    try:
        return function()
    except OfframpError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's function raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{reference} raised {reason}; correct the function") from error
