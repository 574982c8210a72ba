"""Parts: the files of a bundle that one machine needs. Nothing here reads or writes any.

A device runs one backend; the programs of the others, and the drawing of the graph, stay where
they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from offramp.backends import BACKENDS, Backend
from offramp.bundle.manifest import FileEntry, Manifest
from offramp.errors import BundleError

__all__ = ["device_part", "engines_for", "engines_of", "head_engines"]

_SHARED = (
    "calibration.safetensors",
    "codecs.safetensors",
    "examples.safetensors",
    "policy.safetensors",
)


def device_part(manifest: Manifest, engines: Sequence[Backend]) -> dict[str, FileEntry]:
    """Return the files that a device needs which runs the first of ``engines`` that can, by name.

    Raises `BundleError` if there is none that heads run on, with a program for every segment and
    exit.
    """
    able = head_engines(manifest)
    engine = next((engine for engine in engines if engine.name in able), None)
    if engine is None:
        names = " or ".join(engine.name for engine in engines) or "any backend installed here"
        raise BundleError(
            f"bundle {manifest.name!r} has no head for {names}; its heads are made for "
            f"{', '.join(able) or 'none that this release knows'}"
        )
    wanted = [name for program in manifest.programs for name in engine.files(program.folder)]
    needed = {name for name in (*wanted, *_SHARED) if name in manifest.files}
    return {name: manifest.files[name] for name in sorted(needed)}


def head_engines(manifest: Manifest) -> list[str]:
    """Return those of `engines_of` that the device's part may run on: the calibrated ones."""
    wanted = manifest.head_backend
    return [
        name
        for name in engines_of(manifest)
        if (BACKENDS[name].exact if wanted is None else name == wanted)
    ]


def engines_of(manifest: Manifest) -> list[str]:
    """Return the backends that the bundle has every program for.

    One that is not exact runs no tails, and needs no decoders.
    """
    return [engine.name for engine in BACKENDS.values() if _can_run(engine, manifest)]


def engines_for(manifest: Manifest, folder: str) -> list[str]:
    """Return the backends that the bundle has a program for in one folder."""
    return [e.name for e in BACKENDS.values() if e.files(folder)[0] in manifest.files]


def _can_run(engine: Backend, manifest: Manifest) -> bool:
    needed = (*manifest.programs, *(manifest.decoders if engine.exact else ()))
    return all(engine.name in engines_for(manifest, one.folder) for one in needed)
