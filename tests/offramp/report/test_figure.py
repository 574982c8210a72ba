"""Figures: names of deadlines stand clear of curves and of each other."""

from __future__ import annotations

from offramp.report.figure import mark_deadlines, new_figure, plot_style, use_plain_ticks


def test_names_of_deadlines_stand_above_the_curves_and_apart() -> None:
    with plot_style():
        figure = new_figure(4)
        axes = figure.add_subplot()
        axes.plot([1, 1000], [0, 100])
        axes.set_xscale("log")
        mark_deadlines(axes, [0.15, 0.155, 0.15, 1.5])
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts]
        names = [text.get_text() for text in axes.texts]
        top = axes.get_window_extent().y1
    assert names == ["deadline 150 ms", "deadline 155 ms", "deadline 1.5 s"]
    assert all(box.y0 >= top and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[at + 1 :])


def test_ticks_have_no_exponent() -> None:
    with plot_style():
        figure = new_figure(4)
        axes = figure.add_subplot()
        axes.plot([1e-6, 1e7], [0, 1])
        axes.set_xscale("log")
        use_plain_ticks(axes.xaxis)
        shown = [axes.xaxis.get_major_formatter()(value, 0) for value in (1e-6, 0.01, 50, 1e7)]
    assert shown == ["0.000001", "0.01", "50", "10000000"]
