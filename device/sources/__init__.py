"""Sources of samples: a data function, a folder of images, a numpy file, standard input."""

from pathlib import Path

from device.sources.dataset import DatasetSource
from device.sources.frames import FileSource, StreamSource
from device.sources.images import ImageSource
from device.sources.source import Sample, Source
from offramp.bundle import Manifest
from offramp.errors import ConfigError

__all__ = ["Sample", "Source", "open_source"]


def open_source(text: str, manifest: Manifest) -> Source:
    """Open what ``text`` names: ``-``, a folder, a ``.npy`` or ``.npz`` file, or module:function.

    Raises `ConfigError` if it is none of these.
    """
    path = Path(text)
    if text == "-":
        return StreamSource()
    if path.is_dir():
        return ImageSource(path, manifest.boundaries[0].tensors[0], manifest.classes)
    if path.suffix in (".npy", ".npz"):
        return FileSource(path, [tensor.name for tensor in manifest.boundaries[0].tensors])
    if ":" in text:
        return DatasetSource(text)
    raise ConfigError(
        f"source {text!r} is no folder, .npy or .npz file, module:function, or - for standard input"
    )
