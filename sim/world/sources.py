"""Sources: all that a scenario's figures hang on, each by its name and what is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from offramp import __version__
from offramp.errors import ConfigError
from offramp.files import read_file
from sim.world.library import Library
from sim.world.scenario import Scenario

__all__ = ["Source", "check_unchanged", "scenario_digest", "scenario_sources"]

Source = tuple[str, str]
"""What a scenario names, as an error calls it, and a digest of what is in it."""


def scenario_sources(file: Path, scenario: Scenario, library: Library) -> tuple[Source, ...]:
    """Return the scenario that a file holds, and whatever it names, each with its digest.

    A file counts by its own name and what is in it, wherever it lies.
    """
    found = [(str(file), _digest(scenario.model_dump()))]
    for server in scenario.servers:
        for path in server.profiles:
            found.append((str(path), _digest(library.profile(path).model_dump())))
    for group in scenario.groups:
        link, of_group = group.link.link(), f"of group {group.name!r}"
        board = library.board(group)
        found += [
            (str(group.bundle or "the embedded bundle"), library.bundle(group.bundle).digest),
            (str(group.profile or f"the profile {of_group}"), _digest(board.model_dump())),
            (str(group.link.file or f"the link {of_group}"), _digest(link.model_dump())),
        ]
        for values in (link.model_dump(), group.model_dump().get("arrivals")):
            found += [(str(path), _content(path)) for path in _paths(values)]
    return tuple(found)


def scenario_digest(sources: Sequence[Source]) -> str:
    """Return the SHA-256 of a scenario's sources and the release; where files lie is no part."""
    digests = "\n".join((__version__, *(digest for _, digest in sources)))
    return hashlib.sha256(digests.encode()).hexdigest()


def check_unchanged(before: Sequence[Source], now: Sequence[Source]) -> None:
    """Raise `ConfigError` that names a source if it is not what it was before."""
    for name, digest in before:
        if (name, digest) not in now:
            raise ConfigError(
                f"{name} has changed since the runs began; the same command begins them anew"
            )


def _digest(values: object) -> str:
    """Return the SHA-256 of settings, in which a path counts by its last name."""
    text = json.dumps(to_jsonable_python(_without_folders(values)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_folders(values: Any) -> Any:
    if isinstance(values, Path):
        return values.name
    if isinstance(values, dict):
        return {key: _without_folders(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_without_folders(value) for value in values]
    return values


def _paths(values: Any) -> Iterator[Path]:
    """Yield the files that settings name, wherever they stand in them."""
    if isinstance(values, Path):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from _paths(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _paths(value)


def _content(path: Path) -> str:
    """Return the SHA-256 of a file, or of the archive that it lies in, and its place there."""
    home = next((one for one in (path, *path.parents) if one.is_file()), None)
    if home is None:
        raise ConfigError(f"{path}: is not there; name a file that is")
    place = path.relative_to(home).as_posix()
    return hashlib.sha256(read_file(home) + place.encode()).hexdigest()
