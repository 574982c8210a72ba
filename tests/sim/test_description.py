from pathlib import Path

import pytest

from offramp.errors import ConfigError
from sim.description import parse_link, read_link
from sim.link.delay import DelaySettings
from sim.link.rate import RateSettings
from sim.model import build_link
from sim.presets import PRESETS

NOOP = [{"kind": "noop"}]


def test_a_file_describes_a_link(tmp_path):
    path = tmp_path / "link.yaml"
    path.write_text("""
seed: 7
up:
  - {kind: rate, bps: 20e6}
  - {kind: delay, seconds: 0.004}
down:
  - {kind: rate, trace: down.gz}
""")
    link = read_link(path)
    assert link.seed == 7
    assert link.up == (RateSettings(bps=20e6), DelaySettings(seconds=0.004))
    assert link.down == (RateSettings(trace=tmp_path / "down.gz"),)


def test_an_absolute_trace_stays_where_it_is(tmp_path):
    path = tmp_path / "link.yaml"
    path.write_text("up: [{kind: rate, trace: /x/y}]")
    link = read_link(path)
    assert link.up == (RateSettings(trace=Path("/x/y")),)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"upp": NOOP}, "unknown key 'upp'; did you mean 'up'"),
        (
            {"up": [{"kind": "delay", "second": 1}]},
            "unknown key 'up.0.second'; did you mean 'seconds'",
        ),
        ({"up": [{"kind": "rate", "markov": {"x": 1}}]}, "unknown key 'up.0.markov.x'; remove it"),
        ({"up": [{"kind": "drop"}]}, "up.0: unknown kind 'drop'; choose one of delay, .*"),
        ({"up": [{"kind": "deley"}]}, "up.0: unknown kind 'deley'; did you mean 'delay'"),
        ({"up": [{"seconds": 1}]}, "up.0: needs a kind"),
        ({"up": ["noop"]}, "up.0: needs a kind"),
        ({"up": [{"kind": "delay", "seconds": -1}]}, "up.0.seconds must be at least 0"),
        ({"up": [{"kind": "delay", "seconds": float("inf")}]}, "up.0.seconds must .* finite"),
        ({"up": [{"kind": "rate", "bps": 0}]}, "up.0.bps must be above 0"),
        ({"up": [{"kind": "rate"}]}, "exactly one of bps, trace, markov and gilbert"),
        ({"up": [{"kind": "rate", "bps": 1, "markov": {}}]}, "exactly one of bps"),
        ({"up": NOOP, "buffer_bytes": 1}, "buffer_bytes must .* 32768"),
        ({}, "either up .* or phases"),
        ({"up": NOOP, "phases": [{"name": "a", "up": NOOP}]}, "either up .* or phases"),
        ({"phases": [{"name": "a", "up": NOOP}], "down": NOOP}, "down belongs into each phase"),
        ({"up": NOOP, "repeat": True}, "repeat needs phases"),
        ({"phases": [{"name": "a", "up": NOOP}], "repeat": True}, "phase 'a' needs seconds"),
        ({"phases": [{"name": "a", "up": NOOP, "seconds": 0}]}, "phases.0.seconds must be above 0"),
        (["up"], "must hold keys with values"),
        (None, "must hold keys with values"),
    ],
)
def test_a_wrong_description_is_refused_by_its_key(content, why):
    with pytest.raises(ConfigError, match=f"my link: .*{why}") as refused:
        parse_link(content, "my link")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_link(name):
    link = build_link(parse_link(PRESETS[name], name))
    assert 0 < link.up.release_s(0.0, 1500) < 1
