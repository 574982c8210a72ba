"""Sets of traces: one npz file with many, each addressed like a file in a folder.

The arrays are ``names``, ``offsets`` (one more than there are names), ``t`` in seconds and
``mbps``; trace *i* is rows ``offsets[i]`` to ``offsets[i + 1] - 1``.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.files import open_file
from sim.rates.trace import RateTrace
from sim.traces.columns import columns_trace
from sim.traces.lines import Row
from sim.traces.named import the_one_named

__all__ = ["SUFFIX", "set_of", "set_trace"]

SUFFIX = ".npz"

_LIMIT_BYTES = 256 << 20
_HEADERS = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
_NAMES = ("names", "offsets", "t", "mbps")


def set_of(path: Path) -> Path | None:
    """Return the set's file if a path names one, or a trace in one."""
    return next((one for one in (path, *path.parents) if one.suffix == SUFFIX), None)


def set_trace(path: Path) -> RateTrace:
    """The trace ``SET.npz/NAME``; the end of a name is enough where only one ends so."""
    home = set_of(path)
    assert home is not None
    arrays = _load(home)
    names = [str(name) for name in arrays["names"]]
    at = the_one_named(home, names, path.relative_to(home).as_posix())
    low, high = (int(offset) for offset in arrays["offsets"][at : at + 2])
    pairs = zip(arrays["t"][low:high], arrays["mbps"][low:high], strict=True)
    texts = ([repr(float(t)), repr(float(mbps))] for t, mbps in pairs)
    return columns_trace(path, (Row(n, both, " ".join(both)) for n, both in enumerate(texts, 1)))


def _load(home: Path) -> dict[str, NDArray[np.generic]]:
    """Return the set's arrays, checked against each other."""
    wrong = ConfigError(
        f"trace set {home} is none: it must hold names, offsets, t and mbps, as docs/links.md says"
    )
    with open_file(home) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                size_bytes = sum(entry.file_size for entry in archive.infolist())
                if size_bytes > _LIMIT_BYTES:
                    raise ConfigError(f"trace set {home} holds more than {_LIMIT_BYTES} bytes")
                if not all(_is_whole(archive, f"{name}.npy") for name in _NAMES):
                    raise wrong
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as loaded:
                arrays = {name: loaded[name] for name in _NAMES}
        except ConfigError:
            raise
        except Exception:  # numpy's and zipfile's readers raise many kinds
            raise wrong from None
    names, offsets, rows = arrays["names"], arrays["offsets"], arrays["t"]
    sound = (
        names.ndim == offsets.ndim == rows.ndim == 1
        and names.dtype.kind == "U"
        and offsets.dtype.kind in "iu"
        and offsets.size == names.size + 1
        and rows.dtype.kind == arrays["mbps"].dtype.kind == "f"
        and rows.shape == arrays["mbps"].shape
        and offsets.size > 1
        and offsets[0] >= 0
        and offsets[-1] <= rows.size
        and bool((offsets[1:] > offsets[:-1]).all())
    )
    if not sound:
        raise wrong
    return arrays


def _is_whole(archive: zipfile.ZipFile, member: str) -> bool:
    """Tell whether an array's header promises as much as follows it; that is allocated at once."""
    with archive.open(member) as stream:
        read = _HEADERS[format.read_magic(stream)]
        shape, _, dtype = read(stream)
        follows_bytes = archive.getinfo(member).file_size - stream.tell()
        return dtype.itemsize > 0 and math.prod(shape) * dtype.itemsize == follows_bytes
