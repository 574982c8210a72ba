"""What the codec benchmark's page is made of: which levels nothing beats, and the figures."""

from __future__ import annotations

from benchmarks.codec import Found, _tables
from benchmarks.codec_figures import best, by_kind, draw_cuts, draw_overview
from benchmarks.codec_limits import Limits
from benchmarks.codec_tasks import Half, Level, WithExits


def level(cut: int, name: str, size: float, lost: float, tail: float = 0.5) -> Level:
    first, second = Half(size, lost), Half(size + 1, lost + 0.001)
    limits = Limits(0.9 * size, 0.8 * size, size)
    return Level(
        cut, name, size, 1.2 * size, lost, 0.002, first, second, 4000, 1000, 10, tail, limits
    )


LEVELS = [
    level(0, "webp_lossless", 900, 0.0, tail=1),
    level(0, "webp75", 300, 0.02, tail=1),
    level(1, "context20", 200, 0.004),
    level(1, "context50", 220, 0.006),  # beaten
    level(2, "context20", 100, 0.004),
    level(2, "learned1", 60, 0.003),
    level(2, "learned3", 40, 0.012),
    level(3, "context20", 5, 0.001, tail=0.01),  # nothing is left to send for
]
CHOSEN = WithExits(2, "learned1", 0.9, 0.2, 12.0, 0.004)


def test_what_another_level_of_the_same_cut_beats_is_left_out() -> None:
    assert [one.bytes for one in best(LEVELS)] == [900, 300, 200, 60, 40, 5]
    assert [one.level for one in best([LEVELS[4], LEVELS[4]])] == ["context20", "context20"]


def test_kinds_are_the_input_plain_features_and_learned_ones_behind_which_a_tail_is_left() -> None:
    kinds = {kind: [one.bytes for one in some] for kind, some in by_kind(LEVELS).items()}
    assert kinds == {
        "input": [900, 300],
        "not learned": [200, 220, 100],
        "at the deepest cut": [100],
        "learned": [60, 40],
    }


def test_tables_say_the_least_bytes_for_each_loss() -> None:

    tables = {
        title: rows for title, _, rows in _tables(Found(LEVELS, {0.005: CHOSEN, 0.01: None}, 50))
    }
    rows = {row[0]: row[1:] for row in tables["least bytes"]}
    assert rows["0.5 pp"] == [
        "901 at +0.10 pp (webp_lossless, cut 0)", "101 at +0.50 pp (context20, cut 2)",
        "101 at +0.50 pp (context20, cut 2)", "61 at +0.40 pp (learned1, cut 2)",
    ]  # fmt: skip
    assert rows["0 pp"] == ["901 at +0.10 pp (webp_lossless, cut 0)", "-", "-", "-"]
    (sent,) = [rows for title, rows in tables.items() if title.startswith("with exits, on 50")]
    assert sent == [["0.5 pp", "2", "learned1", "20.0%", "12.0", "+0.40 pp"], ["1 pp", *["-"] * 5]]


def test_figures_name_what_they_show() -> None:
    drawn = draw_cuts("a task", LEVELS)
    assert all(text in drawn for text in ("a task", "cut 2, learned", "order-0 entropy"))
    overview = draw_overview("A task", LEVELS, [CHOSEN, None])
    assert "the image, compressed" in overview
    assert "learned bottleneck" in overview
    assert "early exits" not in draw_overview("A task", LEVELS[:3], [None])
    assert "mathdefault" not in drawn + overview
