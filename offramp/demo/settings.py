"""Settings of the demo."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import join
from typing import Annotated

from pydantic import Field, model_validator

from offramp import embedded
from offramp.settings import Settings

__all__ = ["STRATEGIES", "DemoSettings", "default_bundle", "default_folder"]

STRATEGIES = ("device_only", "device_exits", "server_only", "fixed_split", "offramp")

Count = Annotated[int, Field(ge=10, le=100_000)]


class DemoSettings(Settings):
    """What a demo depends on.

    The main job streams ``samples`` samples; each row of the table the first ``table_samples``
    of them. Without ``slowdown`` the agent's own default stands for the board.
    """

    bundle: Path
    out: Path
    samples: Count = 500
    table_samples: Count = 150
    rate_hz: Annotated[float, Field(gt=0, le=1000)] = 15.0
    deadline_s: Annotated[float, Field(gt=0, le=60)] = 0.15
    slowdown: Annotated[float, Field(ge=1, le=1000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    profile_rounds: Annotated[int, Field(ge=1, le=1000)] = 30

    @model_validator(mode="after")
    def _table_is_a_part(self) -> DemoSettings:
        if self.table_samples > self.samples:
            raise ValueError(
                f"--table-samples {self.table_samples} is more than --samples {self.samples}; "
                "the table takes the first of the main job's samples"
            )
        return self

    @property
    def logs(self) -> Path:
        """The folder of what the processes say."""
        return self.out / "logs"

    @property
    def profile_file(self) -> Path:
        """The profile of this machine that all runs share."""
        return self.out / "profile.json"

    def command(self) -> str:
        """Return the command that runs this demo again."""
        words = ["offramp", "demo"]
        if self.bundle != default_bundle():
            words += ["--bundle", str(self.bundle)]
        words += ["--samples", str(self.samples), "--table-samples", str(self.table_samples)]
        words += ["--rate", f"{self.rate_hz:g}", "--deadline-ms", f"{self.deadline_s * 1e3:g}"]
        if self.slowdown is not None:
            words += ["--slowdown", f"{self.slowdown:g}"]
        return join([*words, "--seed", str(self.seed)])


def default_bundle() -> Path:
    """Return where the embedded bundle lies."""
    return Path(str(embedded.__file__)).parent / "cluttered_digits.offramp"


def default_folder() -> Path:
    """Return a run folder named after the time now."""
    return Path("runs") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
