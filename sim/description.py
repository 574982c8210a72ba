"""A link described in plain settings, and the YAML file that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SerializeAsAny, model_validator

from offramp.settings import Settings, build_settings, load_settings
from sim.kinds import of_kind
from sim.link import CONDITIONS, ConditionSettings

__all__ = ["LinkSettings", "PhaseSettings", "parse_link", "read_link"]


_Chain = tuple[
    Annotated[
        SerializeAsAny[ConditionSettings],
        of_kind(ConditionSettings, {kind: member.Settings for kind, member in CONDITIONS.items()}),
    ],
    ...,
]


class PhaseSettings(Settings):
    """What the link is like for some seconds; `down` is the same as `up` if left out."""

    name: str
    seconds: float | None = Field(default=None, gt=0)
    up: _Chain
    down: _Chain | None = None


class LinkSettings(Settings):
    """A link: one chain per direction, or phases that each have their own.

    `buffer_bytes` bounds what each connection may have under way in each direction.
    """

    seed: int = 0
    buffer_bytes: int = Field(default=256 * 1024, ge=32 * 1024, le=64 * 1024 * 1024)
    up: _Chain | None = None
    down: _Chain | None = None
    phases: tuple[PhaseSettings, ...] = ()
    repeat: bool = False

    @model_validator(mode="after")
    def _one_shape(self) -> LinkSettings:
        if (self.up is None) == (not self.phases):
            raise ValueError("a link takes either up (and down) or phases")
        if self.phases and self.down is not None:
            raise ValueError("down belongs into each phase where there are phases")
        if self.repeat and not self.phases:
            raise ValueError("repeat needs phases")
        for phase in self.phases if self.repeat else self.phases[:-1]:
            if phase.seconds is None:
                raise ValueError(f"phase {phase.name!r} needs seconds, for it does not last")
        return self


def parse_link(content: object, origin: str) -> LinkSettings:
    """The link that `content` describes; `origin` says in errors where it stands."""
    return build_settings(LinkSettings, content, origin)


def read_link(path: Path) -> LinkSettings:
    """The link that a YAML file describes; traces are looked for beside it."""
    return load_settings(LinkSettings, path)
