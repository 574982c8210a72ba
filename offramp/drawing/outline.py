"""The outline of a bundle's graph: its operations as a list in which each follows its inputs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from offramp.bundle import Bundle, Manifest
from offramp.errors import BundleError
from offramp.settings import describe_error

__all__ = ["FILE", "Operation", "outline_of", "outline_segments", "read_outline"]

FILE = "graph.json"
"""The file of a bundle that holds its outline."""

_MAX_OPERATIONS = 100_000
_MAX_FILE_BYTES = 64 << 20
_Count = Annotated[int, Field(ge=0)]


class Operation(BaseModel):
    """An operation that runs in ``segment``, or an input of the model, which runs in none.

    ``inputs`` names those whose values it reads; ``bytes`` is the size of its own for one sample.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: str
    op: str
    segment: _Count | None = None
    inputs: tuple[str, ...] = ()
    bytes: _Count = 0
    macs: _Count = 0


class _Graph(BaseModel):
    nodes: Annotated[tuple[Operation, ...], Field(max_length=_MAX_OPERATIONS)]


def outline_of(bundle: Bundle) -> tuple[Operation, ...]:
    """Return a bundle's outline; one that stores none is outlined by its segments."""
    if FILE not in bundle.manifest.files:
        return outline_segments(bundle.manifest)
    path = bundle.path(FILE)
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise BundleError(f"{path}: {path.stat().st_size} bytes are too many for an outline")
    return read_outline(path.read_bytes(), len(bundle.manifest.segments))


def read_outline(data: bytes, segments: int) -> tuple[Operation, ...]:
    """Read an outline; raise `BundleError` unless every operation follows what it reads."""
    try:
        nodes = _Graph.model_validate_json(data).nodes
    except ValidationError as error:
        raise BundleError(f"{FILE}: {describe_error(error)}; get the bundle again") from None
    places: dict[str, int] = {}
    for node in nodes:
        place = -1 if node.segment is None else node.segment
        before = [places.get(name, segments) for name in node.inputs]
        if node.name in places or place >= segments or any(at > place for at in before):
            raise BundleError(
                f"{FILE}: operation {node.name!r} does not follow what it reads, or is there "
                "twice; get the bundle again"
            )
        places[node.name] = place
    return nodes


def outline_segments(manifest: Manifest) -> tuple[Operation, ...]:
    """Return an outline in which each segment is one operation."""
    first = manifest.boundaries[0].tensors
    outline = [Operation(name=t.name, op="input", bytes=t.nbytes) for t in first]
    makers = {tensor.name: tensor.name for tensor in first}
    for at, segment in enumerate(manifest.segments):
        name = f"segment {at}"
        reads = tuple(dict.fromkeys(makers[tensor] for tensor in segment.reads))
        outline.append(Operation(name=name, op=name, segment=at, inputs=reads, macs=segment.macs))
        makers |= dict.fromkeys(segment.makes, name)
    return tuple(outline)
