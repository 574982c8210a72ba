"""The power meter: what Linux says of the energy that this machine takes.

There are two interfaces. powercap (``intel-rapl``, AMD's processors too) counts the energy of the
processor's packages, or of the whole platform if it has a zone ``psys``; hwmon shows what a sensor
on the board reads, such as a Jetson's INA3221. Many boards have neither, all Raspberry Pis among
them. Files are read below a folder that is an argument; what readings mean is pure.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from offramp.errors import ConfigError

__all__ = ["SYSFS", "EnergyCounter", "PowerGauge", "PowerMeter", "Reading", "find_meter", "mean_w"]

SYSFS = Path("/sys/class")
"""Where Linux keeps both interfaces."""

_PACKAGE = re.compile(r"intel-rapl:\d+")  # parts of one have a second number
_INPUT = re.compile(r".*(_IN|psys|socket\d*)", re.IGNORECASE)  # labels of what feeds all the rest
_CHANNEL = re.compile(r"(?:energy|power|in)(\d+)_input")


@dataclass(frozen=True)
class Reading:
    """What a meter said at a time: joules counted by each of its counters, or watts."""

    at_s: float
    values: tuple[float, ...]


class PowerMeter(ABC):
    """One interface that can be read; ``name`` says which, and of what."""

    name: str

    @abstractmethod
    def read(self) -> tuple[float, ...]:
        """Return what it says now; raise `ConfigError` if it cannot be read any more."""

    @abstractmethod
    def spent_j(self, readings: Sequence[Reading]) -> float:
        """Return the joules spent from the first to the last of some readings, in their order."""


@dataclass(frozen=True)
class EnergyCounter(PowerMeter):
    """Counters in microjoules; one begins anew behind ``ranges_j``, None if that is not known.

    It must be read more often than it begins anew: a processor of 100 W takes 40 minutes.
    """

    name: str
    paths: tuple[Path, ...]
    ranges_j: tuple[float | None, ...]

    def read(self) -> tuple[float, ...]:
        """Return what has been counted, in joules."""
        return tuple(_number(path) / 1e6 for path in self.paths)

    def spent_j(self, readings: Sequence[Reading]) -> float:
        """Return the sum of what the counters rose; one that fell has begun anew."""
        return sum(
            after - before if after >= before else after + ((range_j or before) - before)
            for earlier, later in pairwise(readings)
            for before, after, range_j in zip(
                earlier.values, later.values, self.ranges_j, strict=True
            )
        )


@dataclass(frozen=True)
class PowerGauge(PowerMeter):
    """A sensor; the product of its ``paths`` times ``scale`` is the power in watts."""

    name: str
    paths: tuple[Path, ...]
    scale: float = 1e-6

    def read(self) -> tuple[float, ...]:
        """Return the power in watts."""
        watts = self.scale
        for path in self.paths:
            watts *= _number(path)
        return (watts,)

    def spent_j(self, readings: Sequence[Reading]) -> float:
        """Return the integral, with straight lines between readings."""
        return sum(
            (earlier.values[0] + later.values[0]) / 2 * (later.at_s - earlier.at_s)
            for earlier, later in pairwise(readings)
        )


def mean_w(meter: PowerMeter, readings: Sequence[Reading]) -> float:
    """Return the mean power over some readings, which must take some time."""
    return meter.spent_j(readings) / (readings[-1].at_s - readings[0].at_s)


def find_meter(root: Path = SYSFS) -> PowerMeter:
    """Return the meter of this machine; of several, the one that sees most of it.

    Raises `ConfigError` that says why there is none.
    """
    for meter in (*_powercap(root / "powercap"), *_hwmon(root / "hwmon")):
        try:
            meter.read()
        except ConfigError as error:
            if isinstance(error.__cause__, PermissionError):  # what comes next sees less
                raise
        else:
            return meter
    raise ConfigError(
        f"this machine measures no power: {root} has no energy counter and no power sensor that "
        "can be read"
    )


def _powercap(folder: Path) -> Iterator[PowerMeter]:
    found = [zone for zone in sorted(folder.glob("*")) if _PACKAGE.fullmatch(zone.name)]
    zones = {_text(zone / "name") or zone.name: zone for zone in found}
    if "psys" in zones:
        zones = {"psys": zones["psys"]}
    if zones:
        ranges = (_text(zone / "max_energy_range_uj") for zone in zones.values())
        yield EnergyCounter(
            f"powercap {' + '.join(zones)}",
            tuple(zone / "energy_uj" for zone in zones.values()),
            tuple(float(text) / 1e6 if text and text.isdigit() else None for text in ranges),
        )


def _hwmon(folder: Path) -> Iterator[PowerMeter]:
    """Yield one meter for each kind of channel of each sensor, the one that feeds the others."""
    sensors = sorted(folder.glob("hwmon*"))
    for kind in ("energy", "power", "in"):
        for sensor in sensors:
            channels = sorted(sensor.glob(f"{kind}*_input"), key=_channel)
            if kind == "in":
                channels = [path for path in channels if _current(path).exists()]
            if not channels:
                continue
            labels = {path: _text(Path(str(path).replace("_input", "_label"))) for path in channels}
            path = next((p for p in channels if _INPUT.fullmatch(labels[p])), channels[0])
            label = labels[path] or path.name.removesuffix("_input")
            name = f"hwmon {_text(sensor / 'name') or sensor.name} {label}"
            if kind == "energy":
                yield EnergyCounter(name, (path,), (None,))
            elif kind == "power":
                yield PowerGauge(name, (path,))
            else:  # millivolts times milliamperes
                yield PowerGauge(name, (path, _current(path)))


def _current(volts: Path) -> Path:
    return volts.with_name(volts.name.replace("in", "curr", 1))


def _channel(path: Path) -> int:
    match = _CHANNEL.fullmatch(path.name)
    return int(match[1]) if match else 0


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> float:
    try:
        return float(int(path.read_text()))
    except PermissionError as error:
        raise ConfigError(
            f"{path} may not be read; allow it (chmod a+r) or run this as root"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} has no number to read; see what its driver says") from error
