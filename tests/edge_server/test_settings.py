from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_server.settings import ServerSettings
from offramp.errors import ConfigError
from offramp.settings import load_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"listen": "50051"}, "listen: '50051' is not HOST:PORT"),
        ({"bundles": ()}, "nothing to serve; name bundles, or a folder of them"),
        ({"watch": "missing"}, "watch: missing is no folder"),
        ({"threads": 0}, "threads"),
        ({"grace_s": float("nan")}, "grace_s"),
        ({"max_wait_s": 0}, "max_wait_s"),
        ({"max_message_bytes": 1}, "max_message_bytes"),
        ({"treads": 2}, "unknown key 'treads'; did you mean 'threads'"),
    ],
)
def test_wrong_values_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(ServerSettings, None, {"bundles": ("a",), **values})


def test_file_is_read_and_options_win_over_it(tmp_path: Path) -> None:
    file = tmp_path / "server.yaml"
    file.write_text("bundles: [a.offramp, b.offramp]\nthreads: 2\nqueue_length: 7\n")
    settings = load_settings(ServerSettings, file, {"threads": 3, "backend": None})
    assert settings.bundles == (Path("a.offramp"), Path("b.offramp"))
    assert (settings.threads, settings.queue_length, settings.backend) == (3, 7, None)


def test_every_setting_and_its_default_stand_in_the_documentation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "edge-server.md").read_text()
    for name, field in ServerSettings.model_fields.items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        if not field.is_required():
            shown = row.split("|")[2].strip().strip("`").replace("_", "")
            given = {} if shown == "none" else {name: shown}
            served = {"watch": tmp_path} if name == "bundles" else {"bundles": ("a",)}
            settings = load_settings(ServerSettings, None, {**served, **given})
            assert getattr(settings, name) == field.default, name
