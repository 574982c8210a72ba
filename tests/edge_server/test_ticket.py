"""Refusals have a word each, by which they are counted."""

from __future__ import annotations

from edge_server.ticket import STOPPING, gave_way, queue_full, too_late


def test_every_refusal_has_its_word_and_says_when_to_try_again() -> None:
    refusals = [queue_full(0.02), too_late(0.005, 0.03), gave_way(0.04)]
    assert [each.cause for each in refusals] == ["queue_full", "too_late", "gave_way"]
    assert [each.retry_after_s for each in refusals] == [0.02, 0.03, 0.04]
    assert {each.status for each in refusals} == {"RESOURCE_EXHAUSTED"}
    assert STOPPING.cause == "stopping"
