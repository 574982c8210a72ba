"""The table of docs/run-settings.md has every setting of `offramp run`, as the model has it."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from device.settings import AgentSettings
from offramp.settings import Settings, load_settings

PAGE = (Path(__file__).resolve().parents[2] / "docs/run-settings.md").read_text()
UNITS = {"s": "s", "w": "W", "j": "J", "hz": "1/s", "bytes": "bytes"}


def nested(annotation):
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def fields(model, prefix=""):
    """Yields the settings of a model by their whole names, those of models below it too."""
    for name, field in model.model_fields.items():
        if nested(field.annotation):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def metadata_of(annotation):
    for one in getattr(annotation, "__metadata__", ()):
        yield from getattr(one, "metadata", ())
    for one in get_args(annotation):
        yield from metadata_of(one)


def range_of(field):
    """Says the bounds of a number: the first from below, the second from above."""
    words = {"gt": "above {:.16g}", "ge": "from {:.16g}", "lt": "below {:.16g}", "le": "to {:.16g}"}
    bounds = [*field.metadata, *metadata_of(field.annotation)]
    said = [
        word.format(getattr(one, key))
        for key, word in words.items()
        for one in bounds
        if hasattr(one, key)
    ]
    return " ".join(said)


def default_of(name, field):
    if name == "objective.deadline_s":
        return "that of the run"
    return "none" if field.default is None else f"`{json.dumps(field.default).strip(chr(34))}`"


def unit_of(name):
    last = name.rpartition("_")[2]
    return UNITS.get(last, "share" if last in ("share", "drop", "accuracy") else "")


ROWS = {
    name: cells
    for name, *cells in re.findall(
        r"^\| `([\w.]+)` \| (.*) \| (.*) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE
    )
}
FIELDS = dict(fields(AgentSettings))


def test_every_setting_stands_in_the_table_in_the_order_of_the_model_and_no_other():
    assert list(ROWS) == list(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_row_says_unit_default_and_range_as_the_model_has_them(name):
    unit, default, bounds, meaning = (cell.strip() for cell in ROWS[name])
    assert unit == unit_of(name)
    assert default == default_of(name, FIELDS[name])
    assert bounds == range_of(FIELDS[name])
    assert meaning


def test_the_example_of_the_page_is_a_settings_file(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "agent.yaml").write_text(example)
    assert load_settings(AgentSettings, tmp_path / "agent.yaml").objective.minimise == "late"
