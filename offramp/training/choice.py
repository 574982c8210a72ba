"""Which exits a user asks for: named sub-modules with kinds of heads, or a number of places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offramp.errors import ConfigError
from offramp.training.placement import MOST_EXITS

__all__ = ["ExitChoice", "read_choice"]

_AUTO = re.compile(r"auto(?::(\d{1,9}))?")
_DEFAULT_COUNT = 2


@dataclass(frozen=True)
class ExitChoice:
    """Kinds of heads by sub-module; or none, and ``count`` places to be found for one kind.

    Where a kind is None, the feature decides (`default_kind`).
    """

    kinds: Mapping[str, str | None]
    count: int = 0
    head: str | None = None


def read_choice(exits: Sequence[str], heads: Sequence[str]) -> ExitChoice:
    """Read the options ``--exit`` and ``--head``; raise `ConfigError` if they do not fit."""
    given = [head.rpartition("=") for head in heads]
    general = [kind for _, equals, kind in given if not equals]
    if len(general) > 1:
        raise ConfigError(f"--head is given for all exits as {' and as '.join(general)}; give one")
    own = {path: kind for path, equals, kind in given if equals}
    head = next(iter(general), None)
    automatic = [match for path in exits if (match := _AUTO.fullmatch(path))]
    if automatic:
        count = int(automatic[0][1] or _DEFAULT_COUNT)
        if len(exits) > 1 or own or not 1 <= count <= MOST_EXITS:
            raise ConfigError(
                f"--exit auto:N finds 1 to {MOST_EXITS} places; give no other --exit with it, and "
                "one --head for all"
            )
        return ExitChoice({}, count, head)
    for path in own:
        if path not in exits:
            raise ConfigError(f"--head names sub-module {path!r}, which has no --exit")
    return ExitChoice({path: own.get(path, head) for path in exits})
