"""Power meters, read from trees of files as Linux makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from partitioner.power_meter import (
    EnergyCounter,
    PowerGauge,
    Reading,
    find_meter,
    mean_w,
)


def write(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def zone(name: str, label: str, used_uj: int, range_uj: int = 262_143_328_850) -> dict[str, object]:
    folder = f"powercap/{name}"
    return {
        f"{folder}/name": label,
        f"{folder}/energy_uj": used_uj,
        f"{folder}/max_energy_range_uj": range_uj,
    }


PACKAGES = {
    **zone("intel-rapl:0", "package-0", 5_000_000),
    **zone("intel-rapl:0:0", "core", 4_000_000),
    **zone("intel-rapl:1", "package-1", 7_000_000),
    **zone("intel-rapl-mmio:0", "package-0", 5_000_000),
    "powercap/intel-rapl/enabled": 1,
}
JETSON = {
    "hwmon/hwmon0/name": "tmp102",
    "hwmon/hwmon0/temp1_input": 40_000,
    "hwmon/hwmon1/name": "ina3221",
    "hwmon/hwmon1/in1_input": 5000,
    "hwmon/hwmon1/curr1_input": 400,
    "hwmon/hwmon1/in1_label": "VDD_CPU_GPU_CV",
    "hwmon/hwmon1/in2_input": 5024,
    "hwmon/hwmon1/curr2_input": 1250,
    "hwmon/hwmon1/in2_label": "VDD_IN",
    "hwmon/hwmon1/in4_input": 3300,
}


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    write(tmp_path, PACKAGES)
    meter = find_meter(tmp_path)
    assert meter.name == "powercap package-0 + package-1"
    assert meter.read() == (5.0, 7.0)
    before = Reading(10.0, meter.read())
    write(tmp_path, {"powercap/intel-rapl:0/energy_uj": 25_000_000})
    write(tmp_path, {"powercap/intel-rapl:1/energy_uj": 17_000_000})
    readings = [before, Reading(12.0, meter.read())]
    assert meter.spent_j(readings) == pytest.approx(30.0)
    assert mean_w(meter, readings) == pytest.approx(15.0)


def test_the_whole_platform_goes_before_its_packages(tmp_path: Path) -> None:
    write(tmp_path, {**PACKAGES, **zone("intel-rapl:2", "psys", 9_000_000)})
    meter = find_meter(tmp_path)
    assert (meter.name, meter.read()) == ("powercap psys", (9.0,))


def test_a_counter_that_begins_anew_counts_on(tmp_path: Path) -> None:
    write(tmp_path, zone("intel-rapl:0", "package-0", 95_000_000, 100_000_000))
    meter = find_meter(tmp_path)
    before = Reading(0.0, meter.read())
    write(tmp_path, {"powercap/intel-rapl:0/energy_uj": 15_000_000})
    assert meter.spent_j([before, Reading(4.0, meter.read())]) == pytest.approx(20.0)


def test_a_counter_of_unknown_range_has_counted_from_zero_again() -> None:
    meter = EnergyCounter("counter", (), (None,))
    assert meter.spent_j([Reading(0.0, (95.0,)), Reading(1.0, (15.0,))]) == pytest.approx(15.0)


@given(steps_j=st.lists(st.floats(0, 99), min_size=1, max_size=20), start_j=st.floats(0, 100))
def test_what_was_spent_is_found_however_often_counters_begin_anew(
    steps_j: list[float], start_j: float
) -> None:
    used_j, readings = start_j, [Reading(0.0, (start_j,))]
    for at, step_j in enumerate(steps_j, 1):
        used_j = (used_j + step_j) % 100.0
        readings.append(Reading(float(at), (used_j,)))
    found_j = EnergyCounter("counter", (), (100.0,)).spent_j(readings)
    assert found_j == pytest.approx(sum(steps_j), abs=1e-6)


def test_a_jetsons_sensor_is_read_where_the_power_comes_in(tmp_path: Path) -> None:
    write(tmp_path, JETSON)
    meter = find_meter(tmp_path)
    assert meter.name == "hwmon ina3221 VDD_IN"
    (power_w,) = meter.read()
    assert power_w == pytest.approx(6.28)


def test_sensors_of_power_and_counters_of_energy(tmp_path: Path) -> None:
    write(tmp_path, {**JETSON, "hwmon/hwmon2/name": "ina226", "hwmon/hwmon2/power1_input": 2500000})
    assert find_meter(tmp_path).name == "hwmon ina226 power1"
    assert find_meter(tmp_path).read() == (2.5,)
    energy = {
        "hwmon/hwmon10/name": "amd_energy",
        "hwmon/hwmon10/energy1_input": 1,
        "hwmon/hwmon10/energy1_label": "Ecore000",
        "hwmon/hwmon10/energy9_input": 3_000_000,
        "hwmon/hwmon10/energy9_label": "Esocket0",
    }
    write(tmp_path, energy)
    assert find_meter(tmp_path).name == "hwmon amd_energy Esocket0"
    assert find_meter(tmp_path).read() == (3.0,)
    write(tmp_path, PACKAGES)
    assert find_meter(tmp_path).name.startswith("powercap")


def test_gauges_are_integrated_with_straight_lines() -> None:
    readings = [Reading(at, (watts,)) for at, watts in ((0.0, 2.0), (1.0, 4.0), (4.0, 4.0))]
    gauge = PowerGauge("gauge", ())
    assert gauge.spent_j(readings) == pytest.approx(15.0)
    assert mean_w(gauge, readings) == pytest.approx(3.75)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"powercap/intel-rapl/enabled": 0},
        {"hwmon/hwmon0/name": "cpu_thermal", "hwmon/hwmon0/temp1_input": 51_000},
        {"hwmon/hwmon0/name": "bq", "hwmon/hwmon0/in1_input": 5000},
        {"hwmon/hwmon0/name": "odd", "hwmon/hwmon0/power1_input": "n/a"},
        {"powercap/intel-rapl:0/name": "package-0"},
    ],
)
def test_a_machine_without_a_meter_says_so(files: dict[str, object], tmp_path: Path) -> None:
    write(tmp_path, files)
    with pytest.raises(ConfigError, match="this machine measures no power"):
        find_meter(tmp_path)


def test_a_sensor_without_a_number_leaves_the_next_one(tmp_path: Path) -> None:
    write(tmp_path, {"hwmon/hwmon0/name": "odd", "hwmon/hwmon0/power1_input": "n/a", **JETSON})
    assert find_meter(tmp_path).name == "hwmon ina3221 VDD_IN"


def test_a_counter_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so that the refusal is made here."""
    write(tmp_path, {**PACKAGES, **JETSON})
    read = Path.read_text

    def refuse(path: Path) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match=r"energy_uj may not be read; allow it \(chmod a\+r\)"):
        find_meter(tmp_path)


def test_a_sensor_that_goes_away_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, JETSON)
    meter = find_meter(tmp_path)
    (tmp_path / "hwmon/hwmon1/curr2_input").unlink()
    with pytest.raises(ConfigError, match="curr2_input has no number to read"):
        meter.read()
