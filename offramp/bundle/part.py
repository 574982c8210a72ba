"""Parts: the files of a bundle that one machine needs. Nothing here reads or writes any.

A device runs one backend; the programs of the others, and the drawing of the graph, stay where
they are.
"""

from __future__ import annotations

from offramp.backends import BACKENDS, Backend
from offramp.bundle.manifest import FileEntry, Manifest
from offramp.errors import BundleError

__all__ = ["device_part", "engines_of"]

_SHARED = ("calibration.safetensors", "examples.safetensors")


def device_part(manifest: Manifest, engine: Backend) -> dict[str, FileEntry]:
    """Return the files that a device needs which runs ``engine``, by name.

    Raises `BundleError` if some segment or exit has no program for it.
    """
    needed = [name for name in _SHARED if name in manifest.files]
    for folder in _folders(manifest):
        program, *others = engine.files(folder)
        if program not in manifest.files:
            raise BundleError(
                f"bundle {manifest.name!r} has no program for backend {engine.name!r} in {folder}; "
                f"it has {', '.join(engines_of(manifest)) or 'none for any'}"
            )
        needed += [program, *(name for name in others if name in manifest.files)]
    return {name: manifest.files[name] for name in sorted(set(needed))}


def engines_of(manifest: Manifest) -> list[str]:
    """Return the backends that the bundle has a program for in every segment and exit."""
    folders = _folders(manifest)
    return [
        engine.name
        for engine in BACKENDS.values()
        if all(engine.files(folder)[0] in manifest.files for folder in folders)
    ]


def _folders(manifest: Manifest) -> list[str]:
    segments = [spec.folder for spec in manifest.segments]
    return segments + [spec.folder for spec in manifest.exits]
