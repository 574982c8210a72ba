"""The spans that a server records of samples that are traced."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from edge_server.engine import Engine
from edge_server.seeing.traces import ServerTraces
from offramp.tracing import Span, Trace

TRACE = Trace(7, 9)


class Recorded:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.traces: list[tuple[Trace, Span, Sequence[Span]]] = []

    def join_trace(self, trace: Trace, whole: Span, parts: Sequence[Span]) -> None:
        self.traces.append((trace, whole, parts))


def test_a_traced_sample_has_spans_and_another_has_none(
    play: Callable[..., None], engine: Engine, sample: Any
) -> None:
    recorded: Any = Recorded()

    async def story(served: Any) -> None:
        served.server.watch(ServerTraces(recorded))
        stream = served.stream()
        await stream.send(
            sample.request(1, 4, plan_id="p2", trace=TRACE.to_bytes()),
            sample.request(1, 5),
            sample.request(1, 6, trace=bytes(24)),
        )
        answers = {answer.id: answer for answer in [await stream.receive() for _ in range(3)]}
        sample.check(answers[4])
        await served.refusal(sample.request(1, 7, trace=b"odd"))
        ((trace, whole, parts),) = recorded.traces
        timeline = answers[4].timeline
        assert trace == TRACE
        assert (whole.name, whole.failure) == ("serve", "")
        assert abs(whole.end_s - whole.begin_s - timeline.total_s) < 1e-5
        names = [part.name for part in parts if part.name != "queue"]
        assert names == ["decode", "step 1", "step 2", "encode"]
        assert parts[0].begin_s == whole.begin_s
        assert all(one.end_s == two.begin_s for one, two in itertools.pairwise(parts))
        assert parts[-1].end_s <= whole.end_s + 1e-4
        assert whole.told["offramp.plan"] == "p2"
        assert whole.told["offramp.sample"] == 4
        assert whole.told["offramp.bundle"] == sample.digest

    play(engine, story)


def test_a_failure_is_told(play: Callable[..., None], engine: Engine, sample: Any) -> None:
    recorded: Any = Recorded()

    async def story(served: Any) -> None:
        served.server.watch(ServerTraces(recorded))
        request = sample.request(2, trace=TRACE.to_bytes()).to_proto()
        request.cut = 9
        assert "cut 9" in (await served.refusal(request)).details()
        ((_, whole, parts),) = recorded.traces
        assert whole.failure.startswith("INVALID_ARGUMENT: cut 9 is out of range")
        assert list(parts) == []

    play(engine, story)
