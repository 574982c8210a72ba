"""The device's own load, as psutil reads it."""

from __future__ import annotations

from typing import Any

import psutil

__all__ = ["read_load"]


def read_load() -> dict[str, Any]:
    """Return CPU share since the last call, memory, and temperature and battery if there are any.

    Shares are 0 to 1, memory in bytes (this process's), temperature in degrees Celsius.
    """
    load: dict[str, Any] = {
        "cpu_share": round(psutil.cpu_percent() / 100, 3),
        "memory_share": round(psutil.virtual_memory().percent / 100, 3),
        "resident_bytes": psutil.Process().memory_info().rss,
    }
    sensors: dict[str, list[Any]] = getattr(psutil, "sensors_temperatures", dict)()
    readings = [reading.current for group in sensors.values() for reading in group]
    if readings:
        load["temperature_celsius"] = max(readings)
    battery = getattr(psutil, "sensors_battery", lambda: None)()
    if battery is not None:
        load["battery_share"] = round(battery.percent / 100, 3)
    return load
