"""Banking77 (Casanueva et al., arXiv 2003.04807; CC BY 4.0): what a bank's customers ask about.

A sample is a question as 32 numbers of word pieces, and its label one of 77 intents. 20 questions
of each intent are held out, since the test set has as many of each too; the training set has not.
Ten of the test questions are in the training set as well, in the same words.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from functools import cache

import numpy as np

from examples.banking77.vocabulary import Vocabulary, words
from examples.dataset import DataSet, Samples, shuffled

__all__ = ["LENGTH", "PIECES", "classes", "encode", "held_out", "test", "train"]

LENGTH = 32
PIECES = 1600
HELD_OUT = 20
ALIKE = 20
COMMIT = "57ec275d8078af65b7731c2a98be812d844a6d6b"
DATA = DataSet(
    "banking77",
    "BANKING77",
    {
        "train.csv": "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
        "test.csv": "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
        "categories.json": "53261da888122daf2d120d925458631d9619e15d82e56052e7a42e535ce32b63",
    },
    f"https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/{COMMIT}/banking_data/",
)


def train() -> Samples:
    """Return 8,438 training questions, int32 (8438, 32), and their intents."""
    texts, labels, held_out = _training()
    return encode(texts[~held_out]), labels[~held_out]


def held_out() -> Samples:
    """Return 1,540 training questions for calibration; neither network nor pieces know them."""
    texts, labels, held_out = _training()
    return encode(texts[held_out]), labels[held_out]


def test() -> Samples:
    """Return the 3,080 test questions, 40 an intent."""
    texts, labels = _read("test.csv")
    return encode(texts), labels


def encode(texts: Sequence[str]) -> np.ndarray:
    """Return texts as the network takes them: int32 (texts, 32)."""
    return _vocabulary().encode(texts, LENGTH)


@cache
def classes() -> tuple[str, ...]:
    """Return the names of the intents in the order of their labels."""
    return tuple(json.loads(DATA.read("categories.json")))


@cache
def _vocabulary() -> Vocabulary:
    texts, _, held_out = _training()
    return Vocabulary(texts[~held_out], PIECES)


@cache
def _training() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return texts, labels and which are held out; of texts that begin alike only one."""
    texts, labels = _read("train.csv")
    beginnings = [" ".join(words(text)[:ALIKE]) for text in texts]
    _, first = np.unique(beginnings, return_index=True)
    texts, labels = shuffled(texts[first], labels[first])
    held_out = np.zeros(len(labels), bool)
    for label in range(len(classes())):
        held_out[np.flatnonzero(labels == label)[:HELD_OUT]] = True
    return texts, labels, held_out


def _read(file: str) -> Samples:
    rows = list(csv.DictReader(io.StringIO(DATA.read(file).decode(), newline="")))
    names = {name: label for label, name in enumerate(classes())}
    labels = np.array([names[row["category"]] for row in rows])
    return shuffled(np.array([row["text"] for row in rows]), labels)
