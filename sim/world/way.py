"""The way from the devices of a group to their server, as a scenario gives it: which link."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import Field, field_validator, model_validator

from offramp.choices import choose
from offramp.settings import Settings
from sim.beside import FileBeside
from sim.description import LinkSettings, parse_link, read_link
from sim.presets import PRESETS

__all__ = ["WaySettings", "link_seed"]


class WaySettings(Settings):
    """A link by ``preset`` name, in a ``file``, ``described`` here, or a recorded ``trace``.

    A trace is the uplink's rate, and the downlink's unless ``down_trace`` is; ``delay_s`` goes with
    it, one way. The link of the n-th device of a group is ``offset_s`` times n ahead in its
    course, so that many devices on one recording do not move in step. What is random in it hangs
    on the run's seed and the device.
    """

    preset: str | None = None
    file: FileBeside | None = None
    described: LinkSettings | None = None
    trace: FileBeside | None = None
    down_trace: FileBeside | None = None
    delay_s: float | None = Field(default=None, ge=0)
    offset_s: float = Field(default=0.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"preset": value} if isinstance(value, str) else value

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            choose("preset", name, PRESETS)
        return name

    @model_validator(mode="after")
    def _one_link(self) -> WaySettings:
        if [self.preset, self.file, self.described, self.trace].count(None) != 3:
            raise ValueError("a link takes exactly one of preset, file, described and trace")
        if self.trace is None and (self.down_trace is not None or self.delay_s is not None):
            raise ValueError("down_trace and delay_s belong to trace: leave them out")
        return self

    def link(self) -> LinkSettings:
        """Return the link as it is described; reads its file if it has one."""
        if self.preset is not None:
            return parse_link(PRESETS[self.preset], f"preset {self.preset}")
        if self.file is not None:
            return read_link(self.file)
        if self.described is not None:
            return self.described
        delay = {"kind": "delay", "seconds": self.delay_s or 0.0}
        return parse_link(
            {
                "up": [{"kind": "rate", "trace": self.trace}, delay],
                "down": [{"kind": "rate", "trace": self.down_trace or self.trace}, delay],
            },
            "trace",
        )


def link_seed(seed: int, device: str, way: LinkSettings) -> int:
    """Return the seed of what is random in a device's link in the run with a seed."""
    text = f"{seed}/{device}/link/{way.seed}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])
