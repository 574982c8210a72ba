"""Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0): ten digits spoken by six people.

Source: github.com/Jakobovski/free-spoken-digit-dataset, its 3,000 WAV files in one file.

A sample is one second at 8 kHz: a clip (0.44 s on average) from the start, silence after it.
The split by recording is the data set's own: recordings 0 to 4 of each speaker and digit are the
test set; 5 to 14 are held out. The speakers are the same in all three.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np

from examples.dataset import DataSet, Samples, shuffled

__all__ = ["CLASSES", "LENGTH", "held_out", "test", "train"]

CLASSES = tuple("0123456789")
LENGTH = 8000
FILE = "fsdd_8khz_int16.npz"
DATA = DataSet(
    "fsdd",
    "FSDD",
    {FILE: "ec6be5b8dd70d44febdf4c0f01165208514f7e949370c814439b760867da640f"},
)


def train() -> Samples:
    """Return 2,100 clips, int16 (2100, 8000), and their digits."""
    return _clips(range(15, 50))


def held_out() -> Samples:
    """Return 600 clips for calibration, 60 a digit; training uses none of them."""
    return _clips(range(5, 15))


def test() -> Samples:
    """Return the 300 test clips."""
    return _clips(range(5))


def _clips(recordings: range) -> Samples:
    stored = _stored()
    audio, offsets = stored["audio"], stored["offsets"]
    chosen = np.flatnonzero(np.isin(stored["index"], recordings))
    clips = np.zeros((len(chosen), LENGTH), np.int16)
    for clip, at in zip(clips, chosen, strict=True):
        spoken = audio[offsets[at] : offsets[at + 1]][:LENGTH]
        clip[: len(spoken)] = spoken
    return shuffled(clips, stored["digit"][chosen])


@cache
def _stored() -> dict[str, np.ndarray]:
    """Return the file's arrays; to unpack them takes seconds."""
    stored = np.load(io.BytesIO(DATA.read(FILE)), allow_pickle=False)
    return {name: stored[name] for name in ("audio", "offsets", "index", "digit")}
