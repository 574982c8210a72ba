"""Extras: packages that only some sub-commands need, named so that they can be installed."""

from __future__ import annotations

from importlib.util import find_spec

from offramp.errors import ConfigError

__all__ = ["require_extra"]


def require_extra(extra: str, *modules: str) -> None:
    """Raise `ConfigError` that says what to install, unless every module is there."""
    missing = [module for module in modules if not _is_there(module)]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} cannot be imported; install with: pip install "
            f"'offramp[{extra}]'"
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is what it is in
        return False
