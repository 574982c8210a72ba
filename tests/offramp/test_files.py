"""Files appear whole or not at all, and what cannot be written is known before the work."""

import os
import stat
from pathlib import Path

import pytest

from offramp.errors import ConfigError
from offramp.files import check_writable, read_file, replacing, write_file


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "p.json"
    for data in (b"old", b"new"):
        check_writable(path)
        write_file(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_what_breaks_off_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "p.json"
    path.write_bytes(b"old")

    def break_off():
        with replacing(path) as partial:
            partial.write_bytes(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_check_changes_nothing(tmp_path):
    check_writable(tmp_path / "absent.json")
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "p.json"
    path.write_bytes(b"old")
    check_writable(path)
    assert path.read_bytes() == b"old"


def test_a_pipe_is_not_replaced_and_its_check_does_not_wait(tmp_path):
    check_writable(Path("/dev/null"))
    write_file(Path("/dev/null"), b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["no/p.json", "a\0b", "x" * 300])
@pytest.mark.parametrize("act", [check_writable, lambda path: write_file(path, b"data")])
def test_what_cannot_be_written_is_one_sentence(act, name, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be written .* name another place") as caught:
        act(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "free some space" not in str(caught.value)
    assert ("make its folder" in str(caught.value)) == (name == "no/p.json")


@pytest.mark.parametrize("act", [check_writable, lambda path: write_file(path, b"data"), read_file])
def test_a_folder_in_place_of_a_file_is_said_to_be_one(act, tmp_path):
    with pytest.raises(ConfigError) as caught:
        act(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is a folder; name a file"
