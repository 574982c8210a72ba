"""One request at a time through an engine, without a queue."""

from __future__ import annotations

from edge_server.engine import Engine, Outcome
from edge_server.history import History
from offramp.messages import Request


def run_alone(engine: Engine, request: Request, history: History | None = None) -> Outcome:
    """Return the answer to a request that `Engine.check` let pass."""
    passage = engine.begin(request, history)
    assert passage.place == engine.place_of(request)
    while not passage.ended:
        engine.step([passage])
    return engine.finish(passage)
