"""Administration: what a server says of the bundles that it knows, to those who may load others.

The comments in ``protos/offramp/v1/admin.proto`` are the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from offramp.catalogue import MAX_OFFERS, Offer
from offramp.errors import BundleError
from protos.offramp.v1 import admin_pb2 as pb

__all__ = ["HeldBundle", "read_list"]

_STAGE = "STAGE_"
_STAGES = {number: name.removeprefix(_STAGE).lower() for name, number in pb.Stage.items()}
_UNKNOWN = "unknown"
_MOST_SOURCES = 1024


@dataclass(frozen=True)
class HeldBundle:
    """A bundle on a server; ``stage`` is absent, loading, open or leaving, or unknown here.

    ``idle_s`` is how long ago the last sample came for it. ``sources`` give it: files of the
    server, or ``arguments``.
    """

    offer: Offer
    stage: str
    size_bytes: int = 0
    in_flight: int = 0
    idle_s: float = 0.0
    sources: tuple[str, ...] = ()

    def to_proto(self) -> pb.HeldBundle:
        """Return the message to send."""
        return pb.HeldBundle(
            description=self.offer.to_proto(),
            stage=f"{_STAGE}{self.stage.upper()}",
            size_bytes=self.size_bytes,
            in_flight=self.in_flight,
            idle_us=round(self.idle_s * 1e6),
            sources=self.sources,
        )

    @classmethod
    def from_proto(cls, message: pb.HeldBundle) -> HeldBundle:
        """Check a received message; raise `BundleError` that names the wrong field."""
        if len(message.sources) > _MOST_SOURCES:
            raise BundleError(
                f"a bundle of the server has {len(message.sources)} sources; too many"
            )
        return cls(
            offer=Offer.from_proto(message.description),
            stage=_STAGES.get(message.stage or -1, _UNKNOWN),
            size_bytes=message.size_bytes,
            in_flight=message.in_flight,
            idle_s=message.idle_us / 1e6,
            sources=tuple(message.sources),
        )


def read_list(message: pb.ListBundlesResponse) -> list[HeldBundle]:
    """Check what a server says of all its bundles; raise `BundleError` that names what is wrong."""
    if len(message.bundles) > MAX_OFFERS:
        raise BundleError(f"the server lists {len(message.bundles)} bundles; too many")
    return [HeldBundle.from_proto(bundle) for bundle in message.bundles]
