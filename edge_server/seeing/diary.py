"""The diary: a line of the log for each sample that leaves, with its ids."""

from __future__ import annotations

import logging

from edge_server.seeing.watching import Asked
from offramp.messages import Answer, Failure

__all__ = ["Diary"]

_log = logging.getLogger(__name__)


class Diary:
    """Logs what it is told, a `Watcher`; at level debug, for a server has many samples."""

    def answered(self, asked: Asked, answer: Answer, sent_bytes: int) -> None:
        """Log how a sample left."""
        ids = {"client": asked.client, "stream": asked.stream, "sample": asked.id}
        if asked.digest:
            ids |= {"plan": asked.plan_id, "bundle": asked.digest}
        total_ms = answer.timeline.total_s * 1e3
        if answer.failure:
            why = answer.failure.status, answer.failure.message
            _log.debug("no answer after %.3f ms: %s, %s", total_ms, *why, extra=ids)
        else:
            _log.debug("answered from cut %d in %.3f ms", asked.cut, total_ms, extra=ids)

    def turned_away(self, failure: Failure) -> None:
        """Log that a stream or call was not served."""
        _log.debug("a stream or call was turned away: %s", failure.message)
