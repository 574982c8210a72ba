"""Word pieces: how a text becomes numbers that a network takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["PADDING", "UNKNOWN", "Vocabulary", "words"]

PADDING, UNKNOWN = 0, 1
SPLIT = re.compile(r"[a-z]+|[0-9]+|[^a-z0-9\s]")
SHORTEST_STEM = 3
COMMON = 5


def words(text: str) -> list[str]:
    """Return a text's words, numbers and punctuation marks, in lower case."""
    return SPLIT.findall(text.lower())


class Vocabulary:
    """The pieces of words that a set of texts is made of, each with its number.

    These are the characters, as the first of a word (``s``) and as a later one (``##s``), the
    endings that make `COMMON` words out of others (``##ing``), and as many whole words as there is
    room for, the most frequent first. The same texts give the same numbers.
    """

    def __init__(self, texts: Iterable[str], size: int) -> None:
        counts = Counter(word for text in texts for word in words(text))
        endings = Counter(
            word[at:]
            for word in counts
            for at in range(SHORTEST_STEM, len(word))
            if word[:at] in counts
        )
        characters = sorted(set("".join(counts)))
        later = sorted(set("".join(word for word in counts if len(word) > 1)))
        pieces = ["", "?unknown", *characters, *("##" + character for character in later)]
        pieces += ("##" + end for end in sorted(endings) if len(end) > 1 < COMMON <= endings[end])
        frequent = sorted((word for word in counts if len(word) > 1), key=lambda w: (-counts[w], w))
        self.pieces = (pieces + frequent)[:size]
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}

    def encode(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Return int32 (texts, length): the first pieces of each text, then `PADDING`."""
        rows = np.full((len(texts), length), PADDING, np.int32)
        for row, text in zip(rows, texts, strict=True):
            numbers = [number for word in words(text) for number in self._cut(word)][:length]
            row[: len(numbers)] = numbers
        return rows

    def _cut(self, word: str) -> Iterable[int]:
        """Yield the numbers of the longest pieces that make a word, from its beginning."""
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if mark + word[start:e] in self._numbers), start + 1)
            yield self._numbers.get(mark + word[start:end], UNKNOWN)
            start = end
