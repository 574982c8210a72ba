"""Word pieces of the Banking77 example."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.banking77.vocabulary import PADDING, UNKNOWN, Vocabulary, words

TEXTS = ["Where is my card?", "My card was stolen", "card payments", "order, ordered, orders"]


def spelled(vocabulary: Vocabulary, text: str, length: int = 40) -> list[str]:
    (row,) = vocabulary.encode([text], length)
    return [vocabulary.pieces[number] for number in row if number != PADDING]


def test_words_are_in_lower_case_and_marks_stand_alone() -> None:
    assert words("Isn't it £9.50?!") == ["isn", "'", "t", "it", "£", "9", ".", "50", "?", "!"]


def test_a_known_word_is_one_piece_and_another_the_longest_ones() -> None:
    vocabulary = Vocabulary(TEXTS, 100)
    assert spelled(vocabulary, "My CARD") == ["my", "card"]
    assert spelled(vocabulary, "mycards") == ["my", "##c", "##a", "##r", "##d", "##s"]


def test_common_endings_are_pieces() -> None:
    stems = ["walk", "talk", "call", "open", "lock"]
    vocabulary = Vocabulary([" ".join(stem + " " + stem + "ing" for stem in stems)], 100)
    assert "##ing" in vocabulary.pieces
    assert spelled(vocabulary, "coping") == ["c", "##o", "##p", "##ing"]


def test_the_most_frequent_words_get_the_room() -> None:
    everything = Vocabulary(["b aa aa cc cc cc"], 100).pieces
    assert everything[-2:] == ["cc", "aa"]
    assert Vocabulary(["b aa aa cc cc cc"], len(everything) - 1).pieces == everything[:-1]


def test_what_was_never_seen_is_unknown() -> None:
    (row,) = Vocabulary(TEXTS, 100).encode(["ça"], 4)
    assert row[0] == UNKNOWN


def test_texts_are_cut_and_padded_to_their_length() -> None:
    rows = Vocabulary(TEXTS, 100).encode(["card", "card is my card", ""], 3)
    assert rows.dtype == np.int32
    assert (rows != PADDING).sum(1).tolist() == [1, 3, 0]
    assert rows[0, 0] == rows[1, 0]


@settings(deadline=None)
@given(st.lists(st.text("adeprs ,?"), max_size=5))
def test_the_same_texts_make_the_same_pieces_and_these_the_texts(texts: list[str]) -> None:
    vocabulary = Vocabulary(texts, 1000)
    assert vocabulary.pieces == Vocabulary(texts, 1000).pieces
    for text in texts:
        pieces = spelled(vocabulary, text, len(text))
        assert "".join(piece.removeprefix("##") for piece in pieces) == "".join(words(text))
