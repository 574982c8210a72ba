"""The bundle: a compiled model in one file or folder, named by its digest."""

from offramp.bundle.archive import MANIFEST, Bundle, open_bundle, write_bundle
from offramp.bundle.manifest import (
    Boundary,
    Ensemble,
    ExitSpec,
    FileEntry,
    Manifest,
    Proof,
    SegmentSpec,
)

__all__ = [
    "MANIFEST",
    "Boundary",
    "Bundle",
    "Ensemble",
    "ExitSpec",
    "FileEntry",
    "Manifest",
    "Proof",
    "SegmentSpec",
    "open_bundle",
    "write_bundle",
]
