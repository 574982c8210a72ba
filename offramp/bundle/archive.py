"""Bundles on disk: a zip file or a folder, checked file by file against the manifest."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from offramp.bundle.manifest import FileEntry, Manifest, decode_manifest, encode_manifest
from offramp.errors import BundleError
from offramp.tensors import Array

__all__ = ["Bundle", "cache_folder", "list_files", "open_bundle", "write_bundle"]

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip entry's earliest date: equal content gives equal bytes


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its manifest, its digest and a folder that holds its checked files."""

    manifest: Manifest
    digest: str
    folder: Path

    @property
    def cuts(self) -> range:
        """Every cut, from 0 (send the input) to K (send nothing)."""
        return self.manifest.cuts

    def path(self, name: str) -> Path:
        """Return the path of one of the manifest's files."""
        if name not in self.manifest.files:
            raise BundleError(f"bundle {self.digest[:12]} holds no file {name!r}")
        return self.folder / name

    def arrays(self, name: str) -> dict[str, Array]:
        """Read a safetensors file of the bundle."""
        try:
            return load_arrays(self.path(name).read_bytes())
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{self.folder / name}: cannot be read ({error})") from None

    @cached_property
    def examples(self) -> list[Array]:
        """A few real inputs, one array with a leading sample dimension for each input tensor."""
        arrays = self.arrays("examples.safetensors")
        return [arrays[tensor.name] for tensor in self.manifest.boundaries[0].tensors]


def open_bundle(path: Path) -> Bundle:
    """Open a bundle file or folder and check every file of it.

    A file is unpacked once into `cache_folder`, under its digest. Raises `BundleError` if
    anything is missing, truncated or altered, or if the format is newer than this release.
    """
    try:
        if path.is_dir():
            manifest, digest = decode_manifest(_read_small(path / MANIFEST), str(path))
            _check_folder(path, manifest)
            return Bundle(manifest, digest, path)
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(MANIFEST).file_size
            if size > MAX_MANIFEST_BYTES:
                raise BundleError(f"{path}: the manifest takes {size} bytes; refused")
            manifest, digest = decode_manifest(_read(archive, MANIFEST, size), str(path))
            return Bundle(manifest, digest, _unpack(archive, manifest, digest, path))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (
        zipfile.BadZipFile,
        KeyError,
        EOFError,
        NotImplementedError,
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
    """
    manifest = Manifest(**fields, files=list_files(files))
    text, digest = encode_manifest(manifest)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in [(MANIFEST, text), *sorted(files.items())]:
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
        os.replace(partial, path)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another "
            "folder"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return manifest, digest


def list_files(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """Return the manifest's entries for some files."""
    return {
        name: FileEntry(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
    }


def cache_folder() -> Path:
    """Return the folder of unpacked bundles: ``$OFFRAMP_CACHE`` or ``~/.cache/offramp``."""
    given = os.environ.get("OFFRAMP_CACHE")
    try:
        return Path(given) if given else Path.home() / ".cache" / "offramp"
    except RuntimeError:
        raise BundleError(
            "there is no home folder for unpacked bundles; set OFFRAMP_CACHE"
        ) from None


def _unpack(archive: zipfile.ZipFile, manifest: Manifest, digest: str, path: Path) -> Path:
    home = cache_folder() / digest
    if home.is_dir():
        _check_archive(archive, manifest, path)
        with contextlib.suppress(BundleError):  # a damaged cache is made anew
            _check_folder(home, manifest)
            return home
        shutil.rmtree(home, ignore_errors=True)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=home.parent))
        try:
            (partial / MANIFEST).write_bytes(
                _read(archive, MANIFEST, archive.getinfo(MANIFEST).file_size)
            )
            for name, entry in manifest.files.items():
                _unpack_file(archive, name, entry, partial, path)
            if not home.is_dir():
                os.replace(partial, home)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if not home.is_dir():  # else another process was first: its files are the same
            raise BundleError(
                f"{home.parent}: cannot be written ({error.strerror}); free some space or set "
                "OFFRAMP_CACHE to another folder"
            ) from None
    return home


def _unpack_file(
    archive: zipfile.ZipFile, name: str, entry: FileEntry, folder: Path, path: Path
) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_read_checked(archive, name, entry, path))


def _check_archive(archive: zipfile.ZipFile, manifest: Manifest, path: Path) -> None:
    """Check the archive itself too: a damaged copy must not pass because a good one is cached."""
    for name, entry in manifest.files.items():
        _read_checked(archive, name, entry, path)


def _read_checked(archive: zipfile.ZipFile, name: str, entry: FileEntry, path: Path) -> bytes:
    if archive.getinfo(name).file_size != entry.bytes:
        raise BundleError(f"{path}: {name} does not have the size that the manifest says")
    data = _read(archive, name, entry.bytes)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BundleError(f"{path}: {name} does not match its digest; get the bundle again")
    return data


def _read(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """Unpack ``size`` bytes of an entry and no more, however many it holds."""
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name} is compressed in another way than bundles are")
    with archive.open(entry) as stream:
        return stream.read(size)


def _check_folder(folder: Path, manifest: Manifest) -> None:
    for name, entry in manifest.files.items():
        file = folder / name
        try:
            if file.stat().st_size != entry.bytes:
                raise BundleError(f"{file}: does not have the size that the manifest says")
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise BundleError(f"{file}: cannot be read ({error.strerror})") from None
        if digest != entry.sha256:
            raise BundleError(f"{file}: does not match its digest; get the bundle again")


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path}: {path.stat().st_size} bytes are too many for a manifest")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
