"""Small random graphs of operations, in the order of their segments."""

from __future__ import annotations

from hypothesis import strategies as st

from offramp.drawing.outline import Operation

SEGMENTS = 3


@st.composite
def outlines(draw: st.DrawFn) -> list[Operation]:
    """Draw an outline of one input and up to twelve operations in three segments."""
    segments = sorted(draw(st.lists(st.integers(0, SEGMENTS - 1), min_size=1, max_size=12)))
    names = ["x"]
    outline = [Operation(name="x", op="input")]
    for at, segment in enumerate(segments):
        reads = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
        macs = draw(st.integers(0, 9))
        names.append(f"n{at}")
        outline.append(
            Operation(name=names[-1], op="op", segment=segment, inputs=tuple(reads), macs=macs)
        )
    return outline
