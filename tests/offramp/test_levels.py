"""``offramp inspect --levels``."""

from __future__ import annotations

from click.testing import CliRunner

from offramp.bundle import Bundle
from offramp.bundle.command import inspect
from offramp.calibration import load_calibration


def rows_of(bundle: Bundle) -> list[list[str]]:
    result = CliRunner().invoke(inspect, [str(bundle.folder), "--levels"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "codec levels on 60 held-out samples" in lines[0]
    (rule,) = (at for at, line in enumerate(lines) if "───" in line)
    return [line.split() for line in lines[rule + 1 :] if line.strip()]


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
