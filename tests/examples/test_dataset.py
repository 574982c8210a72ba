"""Files of data sets: found, fetched and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from examples import dataset
from examples.dataset import DataSet, shuffled
from offramp.errors import ConfigError

RIGHT = b"the right bytes"
SHA256 = {"a.bin": hashlib.sha256(RIGHT).hexdigest()}


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the variable names; the cache is another one, and neither has a file."""
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setattr(dataset, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SOME_SET", str(folder))
    return folder


def some_set(url: str = "") -> DataSet:
    return DataSet("some", "SOME_SET", SHA256, url)


def test_the_folder_of_the_variable_comes_first(given: Path, tmp_path: Path) -> None:
    (given / "a.bin").write_bytes(RIGHT)
    assert some_set((tmp_path / "nowhere").as_uri() + "/").read("a.bin") == RIGHT


def test_without_the_variable_it_is_the_folder_beside_the_repository(
    given: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.delenv("SOME_SET")
    expected = repository.parent / "shared" / "data" / "some"
    with pytest.raises(ConfigError, match=f"a.bin is not in {expected}; set SOME_SET to"):
        some_set().read("a.bin")


def test_a_missing_file_is_fetched_once(given: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(RIGHT)
    assert some_set(tmp_path.as_uri() + "/").read("a.bin") == RIGHT
    (tmp_path / "a.bin").unlink()
    assert some_set(tmp_path.as_uri() + "/").read("a.bin") == RIGHT


def test_what_cannot_be_fetched_is_said(given: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be downloaded \(.+\); set SOME_SET to the"):
        some_set(tmp_path.as_uri() + "/").read("a.bin")


def test_a_damaged_file_is_refused(given: Path) -> None:
    (given / "a.bin").write_bytes(RIGHT[:-1])
    with pytest.raises(ConfigError, match=f"by its SHA-256: {given / 'a.bin'}; remove it"):
        some_set().read("a.bin")


def test_a_wrong_download_is_refused_and_not_kept(given: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a page that says: not found")
    with pytest.raises(ConfigError, match=r"another file than some's, by its SHA-256: file:"):
        some_set(tmp_path.as_uri() + "/").read("a.bin")
    assert not (tmp_path / "cache").exists()


def test_shuffled_samples_keep_their_labels_and_their_order_of_yesterday() -> None:
    inputs, labels = shuffled(np.arange(6) * 10, np.arange(6, dtype=np.uint8))
    assert labels.tolist() == [5, 2, 1, 3, 0, 4]
    assert inputs.tolist() == [50, 20, 10, 30, 0, 40]
    assert labels.dtype == np.int64
