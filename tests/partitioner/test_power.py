"""What boards draw, and what samples cost of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from offramp import backends
from offramp.bundle import Bundle, open_bundle
from offramp.errors import ConfigError
from partitioner import measure_power as measuring
from partitioner.boards import BOARDS, RADIOS, find_power
from partitioner.measure_power import measure_power, power_here
from partitioner.power import Power
from partitioner.power_meter import EnergyCounter, PowerMeter
from partitioner.profile import Profile, load_profile
from partitioner.profile_command import profile as profile_command
from partitioner.remembered import recall, remember

CABLE = Power(name="board", source="made up", idle_w=2.0, compute_w=4.0, radio_w=0.5)
PHONE = Power(
    name="phone",
    source="made up",
    idle_w=1.0,
    compute_w=2.0,
    radio_w=3.0,
    radio_up_w=1.0,
    radio_tail_s=10.0,
)
SECONDS = st.floats(0, 1e3)
DEMANDS = st.tuples(SECONDS, SECONDS, SECONDS, st.floats(0, 1))


def test_a_sample_costs_its_computing_and_its_sending() -> None:
    assert CABLE.sample_j(0.1, 0.2, 5.0, 1.0) == pytest.approx(0.1 * 4.0 + 0.2 * 0.5)
    assert CABLE.sample_j(0.0, 0.0, 0.0, 0.0) == 0.0


def test_a_radio_stays_up_until_the_answer_and_behind_it() -> None:
    assert PHONE.sample_j(0.0, 0.2, 0.3, 1.0) == pytest.approx(0.2 * 3.0 + (0.3 + 10.0) * 1.0)
    assert PHONE.sample_j(0.1, 0.0, 0.0, 0.0) == pytest.approx(0.2)


@pytest.mark.parametrize(("period_s", "tail_s"), [(0.5, 0.5), (10.0, 10.0), (60.0, 10.0)])
def test_the_next_sample_ends_the_radios_tail(period_s: float, tail_s: float) -> None:
    assert PHONE.sample_j(0.0, 0.0, 0.0, 1.0, every_s=period_s) == pytest.approx(tail_s)
    assert PHONE.sample_j(0.0, 0.0, 0.0, 0.1, every_s=period_s) == pytest.approx(
        min(period_s, 0.1 * 10.0)
    )


@given(one=DEMANDS, other=DEMANDS, share=st.floats(0, 1))
def test_energy_is_linear_so_that_means_over_samples_are_exact(
    one: tuple[float, ...], other: tuple[float, ...], share: float
) -> None:
    mean = [share * a + (1 - share) * b for a, b in zip(one, other, strict=True)]
    apart = share * PHONE.sample_j(*one) + (1 - share) * PHONE.sample_j(*other)
    assert PHONE.sample_j(*mean) == pytest.approx(apart, rel=1e-9, abs=1e-9)


def test_arrays_cost_what_their_numbers_do() -> None:
    demands = np.random.default_rng(1).uniform(0, 2, (4, 50))
    singly = [PHONE.sample_j(*column) for column in demands.T.tolist()]
    np.testing.assert_allclose(PHONE.sample_j(*demands), singly, rtol=1e-12)


@pytest.mark.parametrize(("name", "power"), BOARDS.items())
def test_every_board_has_figures_that_can_be_and_says_where_they_are_from(
    name: str, power: Power
) -> None:
    assert Power.model_validate(power.model_dump()) == power
    assert find_power(name) is power
    assert power.name == name
    assert 0 < power.idle_w < power.idle_w + power.compute_w < 15
    assert "typical, measure yours" in power.describe()
    assert ("Huang" in power.source) == (power.radio_w > 0)


def test_every_board_comes_with_every_radio() -> None:
    cabled = [name for name in BOARDS if "-" not in name]
    assert set(BOARDS) == {*cabled, *(f"{name}-{radio}" for name in cabled for radio in RADIOS)}


def test_figures_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsource: a USB meter\nidle_w: 2\ncompute_w: 3.5\nradio_w: 0.4\n")
    power = find_power(str(path))
    assert (power.idle_w, power.compute_w, power.radio_w, power.radio_tail_s) == (2, 3.5, 0.4, 0)
    assert power.describe() == (
        "mine: 2 W at rest, 3.5 W more computing, 0.4 W more sending (a USB meter)"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("idle_w: -1", "idle_w"),
        ("idle_w: .nan", "idle_w"),
        ("idle: 2", "did you mean 'idle_w'"),
        ("idle_w: 2\nradio_tail_s: fast", "radio_tail_s"),
        ("[1]", "keys with values"),
        ("", "name is missing; add it"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nsource: x\ncompute_w: 3\n{text}\n" if ":" in text else text)
    with pytest.raises(ConfigError, match=said) as raised:
        find_power(str(path))
    assert str(path) in str(raised.value)


def test_a_board_or_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'rpi4-wifi'"):
        find_power("rpi4_wifi")
    with pytest.raises(ConfigError, match="absent"):
        find_power(str(tmp_path / "absent.yaml"))


class Bench:
    """A board whose clock only acting moves: 3 W at rest, 8 W while a head runs for 50 ms."""

    def __init__(self, idle_w: float = 3.0, busy_w: float = 8.0) -> None:
        self.idle_w, self.busy_w = idle_w, busy_w
        self.now_s = self.used_j = 0.0
        self.runs = 0

    def rest(self, time_s: float) -> None:
        self.now_s += time_s
        self.used_j += time_s * self.idle_w

    def run(self) -> None:
        self.runs += 1
        self.now_s += 0.05
        self.used_j += 0.05 * self.busy_w

    def meter(self) -> PowerMeter:
        bench = self

        class Counter(EnergyCounter):
            def read(self) -> tuple[float, ...]:
                return (bench.used_j,)

        return Counter("bench", (), (None,))


def test_power_is_watched_at_rest_and_at_work() -> None:
    bench = Bench()
    power = measure_power(bench.meter(), bench.run, None, lambda: bench.now_s, bench.rest)
    assert power.idle_w == pytest.approx(3.0)
    assert power.compute_w == pytest.approx(5.0)
    assert (power.radio_w, power.source) == (0.0, "measured here: bench")
    assert bench.runs > 50


def test_what_no_meter_sees_is_taken_from_the_board() -> None:
    bench = Bench(idle_w=3.0, busy_w=2.5)  # a busy machine may seem to rest at work
    board = BOARDS["rpi4-lte"]
    power = measure_power(bench.meter(), bench.run, board, lambda: bench.now_s, bench.rest)
    assert power.idle_w == pytest.approx(3.0)
    assert power.compute_w == 0.0
    assert (power.radio_w, power.radio_tail_s) == (board.radio_w, board.radio_tail_s)
    assert power.source.startswith("measured here: bench; radio of rpi4-lte: ")


@pytest.mark.parametrize("board", [None, BOARDS["rpi4"]])
def test_a_machine_without_a_meter_says_what_is_taken_instead(
    board: Power | None, tiny: Bundle, make_profile: Callable[..., Profile], tmp_path: Path
) -> None:
    lines: list[str] = []
    profile = make_profile("0" * 64, [0.0], [], {}, {})
    assert power_here(tiny, profile, board, lines.append, tmp_path) is board
    (line,) = lines
    assert line.startswith("this machine measures no power: ")
    assert line.endswith("those of rpi4 are taken" if board else "give some with --board")


def test_profiles_without_power_are_read_as_before(
    make_profile: Callable[..., Profile], tmp_path: Path
) -> None:
    profile = make_profile("0" * 64, [0.0, 0.1], [], {}, {})
    path = tmp_path / "p.json"
    path.write_text(profile.model_dump_json(exclude={"power"}))
    assert load_profile(path) == profile
    assert load_profile(path).power is None
    path.write_text(profile.drawing(PHONE).model_dump_json())
    assert load_profile(path).power == PHONE
    assert load_profile(path).slowed(2.0).having(profile.runners).power == PHONE


def run(*arguments: object) -> Any:
    return CliRunner().invoke(profile_command, [str(a) for a in arguments])


def test_profile_from_the_command_line_holds_what_the_board_draws(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path))
    for engine in [b.name for b in backends.installed() if b.name != "onnxruntime"]:
        monkeypatch.delitem(backends.BACKENDS, engine)
    given = (tiny_file, "--threads", 1, "--rounds", 1, "-o", tmp_path / "p.json")
    result = run(*given, "--board", "rpi5-wifi")
    assert result.exit_code == 0, result.output
    assert BOARDS["rpi5-wifi"].describe() in result.output
    assert load_profile(tmp_path / "p.json").power == BOARDS["rpi5-wifi"]
    bundle = open_bundle(tiny_file)
    remember(load_profile(tmp_path / "p.json").drawing(None))
    known = recall(bundle, None, None)
    assert known is not None
    assert known.power == BOARDS["rpi5-wifi"]  # it was said once

    bench = Bench()
    monkeypatch.setattr(measuring, "_WATCHED_S", 0.02)
    monkeypatch.setattr(measuring, "find_meter", lambda root: bench.meter())
    result = run(*given, "--power", "--board", "rpi5-lte")
    assert result.exit_code == 0, result.output
    assert "measuring power with bench" in result.output
    power = load_profile(tmp_path / "p.json").power
    assert power is not None
    assert (power.radio_w, power.idle_w) == (BOARDS["rpi5-lte"].radio_w, 0.0)


def test_a_wrong_board_is_said_before_anything_is_measured(tiny_file: Path) -> None:
    result = run(tiny_file, "--board", "rpi44")
    assert isinstance(result.exception, ConfigError)
    assert "did you mean" in str(result.exception)
    assert "measuring" not in result.output


def test_the_example_in_the_documentation_is_a_file_of_figures(
    repository: Path, tmp_path: Path
) -> None:
    page = (repository / "docs" / "boards.md").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0])
    assert find_power(str(path)).radio_tail_s == 0.3
    rows = {name: power for name, power in BOARDS.items() if f"| `{name}` |" in page}
    assert rows.keys() == {name for name in BOARDS if "-" not in name}
    for power in rows.values():
        assert f"| {power.idle_w:g} W | {power.compute_w:g} W |" in page
    for name, radio in RADIOS.items():
        figures = (
            f"{radio['radio_w']:g} W | {radio['radio_up_w']:g} W | {radio['radio_tail_s']:g} s"
        )
        assert f"| `-{name}` | {figures} |" in page
