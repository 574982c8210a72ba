"""Sources of samples: a data function, a folder of images, a numpy file, standard input."""

from pathlib import Path

from device.sources.dataset import DatasetSource
from device.sources.frames import FileSource, StreamSource
from device.sources.images import ImageSource
from device.sources.source import Sample, Source
from offramp.bundle import Manifest
from offramp.errors import ConfigError
from offramp.files import open_file

__all__ = ["Sample", "Source", "check_source", "open_source"]

_ARRAYS = (".npy", ".npz")


def check_source(text: str) -> None:
    """Raise `ConfigError` now if `open_source` could not open what ``text`` names.

    What is in it is not looked at: that takes a manifest, for which a bundle may be fetched.
    """
    path = Path(text)
    if path.suffix in _ARRAYS and not path.is_dir():
        open_file(path).close()
    elif text != "-" and ":" not in text and not path.is_dir():
        raise ConfigError(
            f"source {text!r} is no folder, .npy or .npz file, module:function, or - for standard "
            "input"
        )


def open_source(text: str, manifest: Manifest) -> Source:
    """Open what ``text`` names: ``-``, a folder, a ``.npy`` or ``.npz`` file, or module:function.

    Raises `ConfigError` if it is none of these.
    """
    check_source(text)
    path = Path(text)
    if text == "-":
        return StreamSource()
    if path.is_dir():
        return ImageSource(path, manifest.boundaries[0].tensors[0], manifest.classes)
    if path.suffix in _ARRAYS:
        return FileSource(path, [tensor.name for tensor in manifest.boundaries[0].tensors])
    return DatasetSource(text)
