"""Memory: what only loading needed goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import re
from pathlib import Path

__all__ = ["return_unused_memory"]

# What /proc/self/smaps says of code that is mapped from a file and was never written in memory.
_CODE = re.compile(
    rb"^(\w+)-(\w+) r-xp \S+ \S+ [1-9].*\n(?:\w+:.*\n)*?Anonymous: +0 kB$", re.MULTILINE
)


def return_unused_memory() -> None:
    """Return freed memory, and the pages of code; to be called after something was loaded.

    The allocator keeps what loading needed for a moment: 5 MB of MobileNetV2, 14 MB of its fused
    head. And of 57 MB of code that are resident by then, 22 ran for imports and to optimise the
    model, and never will again. What runs comes back from the system's cache of files. Both are
    calls of Linux, and take 10 ms; elsewhere nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        for found in _CODE.finditer(Path("/proc/self/smaps").read_bytes()):
            start, stop = (int(address, 16) for address in found.groups())
            size = ctypes.c_size_t(stop - start)
            libc.madvise(ctypes.c_void_p(start), size, mmap.MADV_DONTNEED)
        libc.malloc_trim(0)  # not every C library has it
