"""Bundles on disk: a zip file or a folder, checked file by file against the manifest."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from offramp.backends import BACKENDS, Backend, installed
from offramp.bundle.cache import BLOCK_BYTES, Cache, Lease, cache_folder, read_into
from offramp.bundle.incoming import Incoming
from offramp.bundle.manifest import (
    MAX_FILE_BYTES,
    FileEntry,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from offramp.bundle.part import device_part, head_engines
from offramp.errors import BundleError, InputError
from offramp.files import open_file, replacing
from offramp.settings import describe_error
from offramp.tensors import Array

__all__ = ["MANIFEST", "Bundle", "list_files", "make_manifest", "open_bundle", "write_bundle"]

MANIFEST = "manifest.json"
"""The name under which the manifest lies in a bundle."""

_EXAMPLES = "examples.safetensors"
_ENDING = ".offramp"
MAX_MANIFEST_BYTES = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip entry's earliest date: equal content gives equal bytes


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its manifest, its digest and a folder that holds its checked files.

    A bundle that was fetched holds a part of the files only. ``lease`` keeps the folder in the
    cache for as long as this object is in use.
    """

    manifest: Manifest
    digest: str
    folder: Path
    lease: Lease | None = field(default=None, compare=False, repr=False)

    @property
    def cuts(self) -> range:
        """Every cut, from 0 (send the input) to K (send nothing)."""
        return self.manifest.cuts

    @property
    def backends(self) -> list[Backend]:
        """The installed backends whose programs are all here, in order of preference."""
        here = {name for name in self.manifest.files if (self.folder / name).is_file()}
        folders = [program.folder for program in self.manifest.programs]
        return [one for one in installed() if all(one.files(f)[0] in here for f in folders)]

    @cached_property
    def manifest_bytes(self) -> int:
        """The size of the manifest as it is stored."""
        return (self.folder / MANIFEST).stat().st_size

    def path(self, name: str) -> Path:
        """Return the path of one of the manifest's files; raise `BundleError` if it is not here."""
        if name not in self.manifest.files:
            raise BundleError(f"bundle {self.digest[:12]} holds no file {name!r}")
        path = self.folder / name
        if not path.is_file():
            raise BundleError(
                f"{name} of bundle {self.digest[:12]} is not here, only the part that a device "
                "with another backend needs; use the whole bundle file"
            )
        return path

    def arrays(self, name: str) -> dict[str, Array]:
        """Read a safetensors file of the bundle."""
        try:
            return load_arrays(self.path(name).read_bytes())
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{self.folder / name}: cannot be read ({error})") from None
        except KeyError as error:  # what safetensors.numpy raises
            raise BundleError(
                f"{self.folder / name}: holds numbers of kind {error}, which numpy has not"
            ) from None

    @cached_property
    def examples(self) -> list[Array]:
        """A few real inputs, one array with a leading sample dimension for each input tensor.

        Raises `BundleError` unless there is one at least, and each is what the model takes.
        """
        arrays = self.arrays(_EXAMPLES)
        tensors = self.manifest.boundaries[0].tensors
        try:
            found = [arrays[tensor.name] for tensor in tensors]
            counts = {array.shape[:1] for array in found}
            if len(counts) > 1 or counts <= {(), (0,)}:
                raise InputError("there must be as many samples of each input, one at least")
            for tensor, array in zip(tensors, found, strict=True):
                tensor.check(array[0])
        except KeyError as error:
            raise self._wrong_examples(f"there is no tensor {error}") from None
        except InputError as error:
            raise self._wrong_examples(str(error)) from None
        return found

    def _wrong_examples(self, reason: str) -> BundleError:
        return BundleError(f"{self.folder / _EXAMPLES}: {reason}; compile the bundle again")


def open_bundle(path: Path) -> Bundle:
    """Open a bundle file or folder and check every file of it.

    A file is unpacked once into the cache, under its digest. A folder may hold just what a device
    fetched from its server. Raises `BundleError` if anything in it
    is missing, truncated or altered, or if the format is newer than this release, and `ConfigError`
    if there is nothing at ``path``.
    """
    if os.path.isdir(path):
        if not (path / MANIFEST).exists():
            raise BundleError(_no_bundle(path))
        manifest, digest = decode_manifest(_read_small(path / MANIFEST), str(path))
        _check_folder(path, manifest)
        return Bundle(manifest, digest, path)
    with open_file(path) as stream:
        try:
            return _open_archive(stream)
        except (
            zipfile.BadZipFile,
            KeyError,
            EOFError,
            NotImplementedError,
            OSError,
            RuntimeError,
            ValueError,
            zlib.error,
        ) as e:
            raise BundleError(f"{path}: not a whole bundle ({e}); get the bundle again") from None


def write_bundle(
    path: Path, fields: Mapping[str, Any], files: Mapping[str, bytes]
) -> tuple[Manifest, str]:
    """Write a bundle file and return its manifest and digest.

    ``fields`` are the manifest's fields but ``files``. The file appears whole or not at all.
    Raises `BundleError` if it cannot be written.
    """
    manifest = make_manifest(fields, files)
    text, digest = encode_manifest(manifest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(path) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        ):
            for name, data in [(MANIFEST, text), *sorted(files.items())]:
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another "
            "folder"
        ) from None
    return manifest, digest


def make_manifest(fields: Mapping[str, Any], files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest of some files, ``fields`` being its others.

    Raises `BundleError` that says what may not be in one.
    """
    try:
        return Manifest(**fields, files=list_files(files))
    except ValidationError as error:
        raise BundleError(f"this makes no bundle: {describe_error(error)}") from None


def list_files(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """Return the manifest's entries for some files; raise `BundleError` if one is too large."""
    for name, data in files.items():
        if len(data) > MAX_FILE_BYTES:
            raise BundleError(
                f"{name} takes {len(data)} bytes, and a file of a bundle at most {MAX_FILE_BYTES}; "
                "cut the model into more segments (--max-segments)"
            )
    return {
        name: FileEntry(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
    }


def _open_archive(stream: BufferedReader) -> Bundle:
    with zipfile.ZipFile(stream) as archive:
        size = archive.getinfo(MANIFEST).file_size
        if size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{archive.filename}: the manifest takes {size} bytes; refused")
        with _open(archive, MANIFEST, size) as entry:
            manifest, digest = decode_manifest(entry.read(size), str(archive.filename))
        lease = _unpack(archive, manifest, digest)
        return Bundle(manifest, digest, lease.folder, lease)


def _unpack(archive: zipfile.ZipFile, manifest: Manifest, digest: str) -> Lease:
    """Check the whole archive, and put into the cache what is not there or is damaged there."""
    cache = Cache(cache_folder())
    size = archive.getinfo(MANIFEST).file_size
    files = {**manifest.files, MANIFEST: FileEntry(bytes=size, sha256=digest)}
    try:
        lease = cache.lease(digest)
        with lease.writing(), contextlib.ExitStack() as undo:
            absent = {name for name, entry in files.items() if not lease.holds(name, entry)}
            if absent:
                cache.reserve(sum(files[name].bytes for name in absent))
            undo.callback(lease.discard, absent)
            for name, entry in files.items():
                _unpack_file(archive, name, entry, lease if name in absent else None)
            undo.pop_all()
    except OSError as error:
        raise BundleError(cache.unwritable(error)) from None
    return lease


def _unpack_file(
    archive: zipfile.ZipFile, name: str, entry: FileEntry, lease: Lease | None
) -> None:
    """Check an entry, whatever the cache holds; with a lease, put it there."""
    incoming = Incoming(f"{archive.filename}: {name}", entry)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_open(archive, name, entry.bytes))
        target = stack.enter_context(lease.partial(name).open("wb")) if lease else None
        # However much the entry holds, no more is unpacked than the manifest says.
        while data := source.read(min(BLOCK_BYTES, incoming.missing_bytes)):
            incoming.take(data)
            if target:
                target.write(data)
    incoming.check()
    if lease:
        lease.keep(name)


def _open(archive: zipfile.ZipFile, name: str, size: int) -> IO[bytes]:
    entry = archive.getinfo(name)
    if entry.file_size != size:
        raise BundleError(
            f"{archive.filename}: {name} does not have the size that the manifest says"
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name} is compressed in another way than bundles are")
    return archive.open(entry)


def _no_bundle(folder: Path) -> str:
    """Say that a folder is no bundle, and which file in it may have been meant."""
    files = sorted(file for file in folder.glob(f"*{_ENDING}") if file.is_file())
    named = (
        f"such as {files[0]}" if files else f"NAME{_ENDING}, or a folder that one was unpacked to"
    )
    return f"{folder}: is a folder without a {MANIFEST}, so it is no bundle; name a bundle, {named}"


def _check_folder(folder: Path, manifest: Manifest) -> None:
    """Check what is there: all files, or at least a device's part, as fetched from a server."""
    absent = {name for name in manifest.files if not (folder / name).exists()}
    parts = [device_part(manifest, [BACKENDS[name]]) for name in head_engines(manifest)]
    if absent and not any(absent.isdisjoint(part) for part in parts):
        raise BundleError(f"{folder}: {min(absent)} is missing; get the bundle again")
    for name in manifest.files.keys() - absent:
        entry, file = manifest.files[name], folder / name
        try:
            if file.stat().st_size != entry.bytes:
                raise BundleError(f"{file}: does not have the size that the manifest says")
            read_into(Incoming(str(file), entry), file).check()
        except OSError as error:
            raise BundleError(f"{file}: cannot be read ({error.strerror})") from None


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path}: {path.stat().st_size} bytes are too many for a manifest")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
