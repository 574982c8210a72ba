from __future__ import annotations

import math

from edge_server.scheduling.patience import WINDOW_S, Patience


def test_the_shortest_time_counts_for_one_window_at_least_and_two_at_most() -> None:
    patience = Patience()
    assert patience.shortest_s(100.0) == math.inf
    patience.note(100.0, 0.5)
    patience.note(100.5, 0.05)
    patience.note(101.0, 0.5)
    assert patience.shortest_s(101.0) == 0.05
    assert patience.shortest_s(100.5 + WINDOW_S) == 0.05
    patience.note(103.0, 0.3)
    assert patience.shortest_s(100.5 + 2 * WINDOW_S) == 0.3
    assert patience.shortest_s(200.0) == math.inf
