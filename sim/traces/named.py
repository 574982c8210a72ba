"""One of many by its name, or by the end of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from offramp.errors import ConfigError

__all__ = ["the_one_named"]

_SHOWN = 3


def the_one_named(home: Path, names: Sequence[str], wanted: str) -> int:
    """The place of the only name that is `wanted`, or ends with it from a ``/`` on.

    Raises `ConfigError` that names some of those in `home` if there is none, or more than one.
    """
    found = [at for at, name in enumerate(names) if f"/{name}".endswith(f"/{wanted}")]
    if len(found) != 1:
        some = ", ".join(name.rpartition("/")[2] for name in names[:_SHOWN])
        raise ConfigError(
            f"trace set {home} holds {len(found) or 'no'} traces named {wanted!r}: name one of its "
            f"{len(names)} as {home.name}/NAME, such as {some}"
        )
    return found[0]
