"""``offramp inspect --levels``."""

from __future__ import annotations

import itertools

import numpy as np
from click.testing import CliRunner

from offramp.bundle import Bundle
from offramp.bundle.command import inspect
from offramp.bundle.level_table import cheapest_lines
from offramp.calibration import load_calibration


def rows_of(bundle: Bundle) -> list[list[str]]:
    result = CliRunner().invoke(inspect, [str(bundle.folder), "--levels"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "codec levels on 60 held-out samples" in lines[0]
    (rule,) = (at for at, line in enumerate(lines) if "───" in line)
    rows = itertools.takewhile(lambda line: line.strip(), lines[rule + 1 :])
    assert "fewest bytes at 0.5% fewer right answers" in result.output
    return [line.split() for line in rows]


def test_each_level_stands_with_its_bytes_and_right_answers(camera: Bundle) -> None:
    calibration, found = load_calibration(camera), {}
    cut = ""
    for row in rows_of(camera):
        if row[0].isdigit() and row[1].isidentifier():
            cut, *row = row
        level, mean_bytes, p95_bytes, right, *changes = row
        found[int(cut), level] = (float(mean_bytes), float(p95_bytes), right, changes)
    assert found.keys() == set(calibration.levels)
    for place, (mean_bytes, p95_bytes, right, _) in found.items():
        sizes = calibration.sizes[place]
        assert abs(mean_bytes - sizes.mean()) <= 0.5
        assert sizes.min() <= p95_bytes <= sizes.max()
        assert right == f"{(calibration.answers[place] == calibration.labels).mean():.1%}"
    assert any(changes == ["learnt"] for *_, changes in found.values())


def test_samples_that_are_not_alike_teach_no_changes(tiny: Bundle) -> None:
    assert not any("learnt" in row for row in rows_of(tiny))


def test_what_is_cheapest_is_said_of_input_features_and_bottlenecks(camera: Bundle) -> None:
    (line,) = cheapest_lines(camera)
    calibration, segments = load_calibration(camera), camera.manifest.segments
    macs = np.cumsum([0, *(segment.macs for segment in segments)])
    macs = macs / macs[-1]
    good = [
        place
        for place, answers in calibration.answers.items()
        if (answers == calibration.labels).mean() >= calibration.accuracy - 0.005
    ]
    for words, places in (
        ("the compressed input", [place for place in good if place[0] == 0]),
        ("features", [place for place in good if place[0] > 0 and macs[place[0]] <= 0.95]),
    ):
        cut, level = min(places, key=lambda place: calibration.sizes[place].mean())
        size = calibration.sizes[cut, level].mean()
        assert f"{words} {size:.0f} B ({level} at cut {cut}" in line
    assert "bottleneck" not in line
