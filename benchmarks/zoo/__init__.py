"""Models with random weights at small width: one list a family, one line a model."""

from __future__ import annotations

from benchmarks.zoo.audio import AUDIO
from benchmarks.zoo.entry import Entry
from benchmarks.zoo.plain import PLAIN
from benchmarks.zoo.text import TEXT
from benchmarks.zoo.vision import VISION

__all__ = ["ZOO", "Entry"]

ZOO: tuple[Entry, ...] = (*VISION, *TEXT, *AUDIO, *PLAIN)
