"""The bundle: a compiled model in one file or folder, named by its digest."""

from offramp.bundle.archive import MANIFEST, Bundle, open_bundle, write_bundle
from offramp.bundle.manifest import (
    BottleneckSpec,
    Boundary,
    Ensemble,
    ExitSpec,
    FileEntry,
    LaterExits,
    Manifest,
    ProgramSpec,
    Proof,
    SegmentSpec,
)

__all__ = [
    "MANIFEST",
    "BottleneckSpec",
    "Boundary",
    "Bundle",
    "Ensemble",
    "ExitSpec",
    "FileEntry",
    "LaterExits",
    "Manifest",
    "ProgramSpec",
    "Proof",
    "SegmentSpec",
    "open_bundle",
    "write_bundle",
]
