"""The splits of the example tasks, on small files of the same form and on the real ones."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.banking77 import data as banking77
from examples.dataset import DataSet
from examples.spoken_digits import data as fsdd
from offramp.errors import ConfigError

TASKS = ("banking77", "cifar10", "fashion_mnist", "spoken_digits")


def cifar10() -> dict[str, bytes]:
    """Four training and two test images of each class, of a grey that is (class, number)."""
    files, rows = [], []
    for label in range(10):
        for number, of_training in ((0, 1), (4499, 1), (4500, 1), (4999, 1), (0, 0), (999, 0)):
            rows.append((label, number, of_training))
            grey = 20 * label + 4 * len(files) % 20
            stream = io.BytesIO()
            Image.new("RGB", (32, 32), (grey,) * 3).save(stream, "JPEG")
            files.append(stream.getvalue())
    labels, numbers, of_training = np.array(rows).T
    return {
        "cifar10_jpeg_60k.npz": npz(
            jpeg=np.frombuffer(b"".join(files), np.uint8),
            offsets=np.cumsum([0, *map(len, files)]).astype(np.uint32),
            labels=labels.astype(np.uint8),
            is_train=of_training.astype(bool),
            index_in_class=numbers.astype(np.uint16),
        )
    }


def spoken_digits() -> dict[str, bytes]:
    """Fifty recordings of each digit, each as many samples as it has a number, one too long."""
    lengths = np.arange(1, 501)
    lengths[-1] = 9000
    return {
        "fsdd_8khz_int16.npz": npz(
            audio=np.repeat(np.arange(1, 501), lengths).astype(np.int16),
            offsets=np.cumsum([0, *lengths]),
            digit=np.repeat(np.arange(10), 50).astype(np.uint8),
            index=np.tile(np.arange(50), 10).astype(np.uint8),
        )
    }


def banking_files() -> dict[str, bytes]:
    """Two intents: 26 and 30 questions, two of them twice or nearly; three test questions."""
    asked = [(f"question {at} about {'ab'[at % 2]}", "ab"[at % 2]) for at in range(50)]
    more = [(f"one, more: {at}\nb?", "b") for at in range(5)]
    long = [("so " * 20 + end, "a") for end in ("it goes", "it went")]
    return {
        "train.csv": table([*asked, *more, ("Question 7 about B", "b"), *long]),
        "test.csv": table([("what?", "a"), ("what, unseen?", "b"), ("", "a")]),
        "categories.json": json.dumps(["a", "b"]).encode(),
    }


def fashion_mnist() -> dict[str, bytes]:
    """5,003 training images and two test images, whose pixels and labels count them."""
    files = {}
    for part, count in (("train", 5003), ("t10k", 2)):
        numbers = np.arange(count) % 10
        pixels = np.repeat(numbers.astype(np.uint8), 784).tobytes()
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(bytes(16) + pixels, 1)
        labels = bytes(8) + numbers.astype(np.uint8).tobytes()
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(labels, 1)
    return files


SMALL = {
    "banking77": (banking_files, (16, 40, 3)),
    "cifar10": (cifar10, (20, 20, 20)),
    "fashion_mnist": (fashion_mnist, (3, 5000, 2)),
    "spoken_digits": (spoken_digits, (350, 100, 50)),
}
REAL = {
    "banking77": (8438, 1540, 3080),
    "fashion_mnist": (55000, 5000, 10000),
    "spoken_digits": (2100, 600, 300),
}
ONE = {
    "banking77": ((32,), np.int32),
    "cifar10": ((32, 32, 3), np.uint8),
    "fashion_mnist": ((28, 28, 1), np.uint8),
    "spoken_digits": ((8000,), np.int16),
}


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def table(rows: list[tuple[str, str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("text", "category"), *rows])
    return stream.getvalue().encode()


def splits(task: str) -> list[tuple[np.ndarray, np.ndarray]]:
    data = importlib.import_module(f"examples.{task}.data")
    return [data.train(), data.held_out(), data.test()]


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    for function in (banking77.classes, banking77._vocabulary, banking77._training, fsdd._stored):
        function.cache_clear()


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The task's name; its files are small ones in a folder of their own."""
    task: str = request.param
    files = SMALL[task][0]()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setenv("SMALL_SET", str(tmp_path))
    data = importlib.import_module(f"examples.{task}.data")
    monkeypatch.setattr(data, "DATA", DataSet(task, "SMALL_SET", sha256))
    return task


@pytest.mark.parametrize("small", TASKS, indirect=True)
def test_small_splits_are_complete_and_the_same_every_time(small: str) -> None:
    first, second = splits(small), splits(small)
    for (inputs, labels), (again, labels_again), count in zip(
        first, second, SMALL[small][1], strict=True
    ):
        assert inputs.shape == (count, *ONE[small][0])
        assert (inputs.dtype, labels.dtype) == (ONE[small][1], np.int64)
        np.testing.assert_array_equal(inputs, again)
        np.testing.assert_array_equal(labels, labels_again)


@pytest.mark.parametrize("small", ["cifar10"], indirect=True)
def test_an_image_goes_with_its_label(small: str) -> None:
    seen = set()
    for images, labels in splits(small):
        greys = images.reshape(len(images), -1).mean(1).round().astype(int)
        np.testing.assert_array_equal(greys // 20, labels)
        assert np.bincount(labels).tolist() == [2] * 10
        seen |= set(greys // 4 % 5)
    assert seen == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("small", ["spoken_digits"], indirect=True)
def test_no_recording_is_in_two_splits_and_each_has_its_digit(small: str) -> None:
    numbers = []
    for clips, digits in splits(small):
        recordings = clips[:, 0] - 1
        np.testing.assert_array_equal(recordings // 50, digits)
        lengths = np.where(recordings == 499, 8000, recordings + 1)
        np.testing.assert_array_equal((clips != 0).sum(1), lengths)
        numbers += [*recordings]
    assert sorted(numbers) == list(range(500))


@pytest.mark.parametrize("small", ["banking77"], indirect=True)
def test_held_out_questions_are_equally_many_of_each_intent(small: str) -> None:
    train, held_out, _ = splits(small)
    assert np.bincount(held_out[1]).tolist() == [20, 20]
    assert np.bincount(train[1]).tolist() == [6, 10]
    assert not {row.tobytes() for row in train[0]} & {row.tobytes() for row in held_out[0]}


@pytest.mark.parametrize("small", TASKS, indirect=True)
def test_a_damaged_file_is_refused(small: str, tmp_path: Path) -> None:
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ConfigError, match=f"another file than {small}'s, by its SHA-256"):
        splits(small)


@pytest.mark.parametrize("small", TASKS, indirect=True)
def test_a_missing_file_is_named(small: str, tmp_path: Path) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match=r"[\w.]+ is not in .+; set SMALL_SET to the folder"):
        splits(small)


@pytest.mark.parametrize("task", REAL)
def test_the_real_splits_have_no_sample_in_common(task: str) -> None:
    """All but CIFAR-10, which takes long to decode; its split is the one of the small file."""
    data = importlib.import_module(f"examples.{task}.data")
    have_files(data.DATA)
    parts = splits(task)
    assert tuple(len(labels) for _, labels in parts) == REAL[task]
    train, held_out, test = ({row.tobytes() for row in inputs} for inputs, _ in parts)
    assert not train & held_out
    assert len(test & (train | held_out)) == (10 if task == "banking77" else 0)
    classes = 77 if task == "banking77" else 10
    for _, labels in parts:
        assert set(labels.tolist()) == set(range(classes))


def test_the_real_cifar10_is_there_in_full() -> None:
    from examples.cifar10 import data

    have_files(data.DATA)
    stored = np.load(io.BytesIO(data.DATA.read(data.FILE)), allow_pickle=False)
    for of_training, count in ((True, 5000), (False, 1000)):
        of_it = stored["is_train"] == of_training
        for label in range(10):
            numbers = stored["index_in_class"][of_it & (stored["labels"] == label)]
            assert sorted(numbers.tolist()) == list(range(count))


def have_files(data: DataSet) -> None:
    """Skip the test if the data set is not on this machine; nothing is downloaded for it."""
    try:
        for file in data.sha256:
            DataSet(data.name, data.variable, data.sha256).read(file)
    except ConfigError as error:
        pytest.skip(f"{error}")
