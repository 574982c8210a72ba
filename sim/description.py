"""A link described in plain settings, and the YAML file that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from offramp.errors import ConfigError
from sim.link import CONDITIONS, ConditionSettings

__all__ = ["LinkSettings", "PhaseSettings", "parse_link", "read_link"]


def _condition(value: Any, info: ValidationInfo) -> ConditionSettings:
    if isinstance(value, ConditionSettings):
        return value
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in CONDITIONS:
        raise ValueError(f"needs a kind, one of {', '.join(sorted(CONDITIONS))}, not {kind!r}")
    return CONDITIONS[kind].Settings.model_validate(value, context=info.context)


_Chain = tuple[Annotated[SerializeAsAny[ConditionSettings], BeforeValidator(_condition)], ...]


class PhaseSettings(BaseModel):
    """What the link is like for some seconds; `down` is the same as `up` if left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    seconds: float | None = Field(default=None, gt=0)
    up: _Chain
    down: _Chain | None = None


class LinkSettings(BaseModel):
    """A link: one chain per direction, or phases that each have their own.

    `buffer_bytes` bounds what each connection may have under way in each direction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

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


def parse_link(content: object, origin: str, folder: Path | None = None) -> LinkSettings:
    """The link that `content` describes; relative trace files are looked for in `folder`."""
    try:
        return LinkSettings.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        # A misspelt key is the likeliest cause of a missing one, so it comes first.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        where = ".".join(str(part) for part in first["loc"])
        why = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            why = "is an unknown key: correct its name or remove it"
        raise ConfigError(f"{origin}: {where + ': ' if where else ''}{why}") from error


def read_link(path: Path) -> LinkSettings:
    """The link that a YAML file describes."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"link {path} cannot be read ({reason}): name a YAML file") from error
    return parse_link(content, f"link {path}", path.parent)
