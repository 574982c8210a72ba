"""The catalogue: the bundles that a server holds, and how a device asks for their files.

These are checked values and their form in protobuf; the comments in ``protos/offramp/v1`` are the
reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from offramp.errors import BundleError, InputError, UnknownBundleError
from offramp.names import check_name
from protos.offramp.v1 import inference_pb2 as pb

__all__ = ["MAX_OFFERS", "Catalogue", "FileRequest", "Offer"]

MAX_OFFERS = 1024
"""The most bundles that a device reads of one catalogue."""


@dataclass(frozen=True)
class Offer:
    """A bundle on a server; one that is ``superseded`` will go, and is not to be fetched."""

    digest: str
    name: str
    segments: int = 0
    backend: str = ""
    manifest_bytes: int = 0
    superseded: bool = False

    def to_proto(self) -> pb.BundleDescription:
        """Return the message to send."""
        return pb.BundleDescription(
            digest=bytes.fromhex(self.digest),
            name=self.name,
            segments=self.segments,
            backend=self.backend,
            manifest_bytes=self.manifest_bytes,
            superseded=self.superseded,
        )

    @classmethod
    def from_proto(cls, message: pb.BundleDescription) -> Offer:
        """Check a received message; raise `BundleError` that names the wrong field."""
        if len(message.digest) != 32:
            raise BundleError(f"the server offers a digest of {len(message.digest)} bytes, not 32")
        try:
            check_name(message.name)
        except ValueError as error:
            raise BundleError(f"what the server offers has a wrong name; {error}") from None
        return cls(
            digest=message.digest.hex(),
            name=message.name,
            segments=message.segments,
            backend=message.backend,
            manifest_bytes=message.manifest_bytes,
            superseded=message.superseded,
        )


@dataclass(frozen=True)
class Catalogue:
    """What a server holds, in the order in which it was loaded."""

    offers: tuple[Offer, ...] = ()

    def choose(self, name: str | None = None) -> Offer:
        """Return the offer to take: the one of that name, or without a name the only one.

        Raises `UnknownBundleError` that lists the names if there is none, or more than one.
        """
        found = [o for o in self._current() if name in (None, o.name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted({repr(o.name) for o in self._current()})) or "none"
        if found and len({offer.name for offer in found}) < len(found):
            raise UnknownBundleError(
                f"the server offers several models of one name ({names}); compile them with "
                "different --name, or serve one of them"
            )
        lacks = "several models" if name is None else f"no model {name!r}"
        raise UnknownBundleError(
            f"the server offers {lacks if self._current() else 'none'}; name one of these with "
            f"--model: {names}"
        )

    def only(self, wanted: Callable[[str], bool]) -> Catalogue:
        """Return the offers of wanted names."""
        return Catalogue(tuple(offer for offer in self.offers if wanted(offer.name)))

    def successor(self, digest: str, name: str) -> Offer | None:
        """Return the offer that has taken a bundle's place, or None while there is none."""
        current = list(self._current())
        if any(offer.digest == digest for offer in current):
            return None
        return next((offer for offer in current if offer.name == name), None)

    def _current(self) -> tuple[Offer, ...]:
        return tuple(offer for offer in self.offers if not offer.superseded)

    def to_proto(self) -> pb.Catalogue:
        """Return the message to send."""
        return pb.Catalogue(bundles=[offer.to_proto() for offer in self.offers])

    @classmethod
    def from_proto(cls, message: pb.Catalogue | pb.DescribeResponse) -> Catalogue:
        """Check a received message; raise `BundleError` that names what is wrong."""
        if len(message.bundles) > MAX_OFFERS:
            raise BundleError(f"the server offers {len(message.bundles)} bundles; too many")
        return cls(tuple(Offer.from_proto(bundle) for bundle in message.bundles))


@dataclass(frozen=True)
class FileRequest:
    """Asks for a file of a bundle from an offset on, up to ``max_bytes`` of it, 0 for all.

    An empty ``path`` means the manifest.
    """

    digest: str
    path: str = ""
    offset_bytes: int = 0
    max_bytes: int = 0

    def to_proto(self) -> pb.ReadFileRequest:
        """Return the message to send."""
        return pb.ReadFileRequest(
            bundle_digest=bytes.fromhex(self.digest),
            path=self.path,
            offset_bytes=self.offset_bytes,
            max_bytes=self.max_bytes,
        )

    @classmethod
    def from_proto(cls, message: pb.ReadFileRequest) -> FileRequest:
        """Check a received message; raise `InputError` that names the wrong field."""
        if len(message.bundle_digest) != 32:
            raise InputError(
                f"bundle_digest has {len(message.bundle_digest)} bytes; send the manifest's "
                "SHA-256, 32 bytes"
            )
        return cls(
            digest=message.bundle_digest.hex(),
            path=message.path,
            offset_bytes=message.offset_bytes,
            max_bytes=message.max_bytes,
        )
