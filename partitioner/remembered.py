"""Remembered profiles: what was measured on this machine, kept beside the unpacked bundles."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from offramp.bundle import Bundle
from offramp.bundle.cache import cache_folder
from offramp.errors import OfframpError
from partitioner.machine import differences, this_machine
from partitioner.profile import Profile, load_profile

__all__ = ["recall", "remember"]


def remember(profile: Profile) -> None:
    """Keep a profile for the next start; if that cannot be, it is measured again then."""
    path = _path(profile.digest)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(profile.model_dump_json())
        os.replace(partial, path)


def recall(bundle: Bundle, backend: str | None, threads: int | None) -> Profile | None:
    """Return what is remembered of a bundle on this machine as it is now, or None."""
    with contextlib.suppress(OfframpError):  # whatever is wrong with it, it is measured again
        profile = load_profile(_path(bundle.digest)).only(backend, threads)
        profile.check(bundle)
        if not any(differences(profile, this_machine())):
            return profile
    return None


def _path(digest: str) -> Path:
    return cache_folder() / "profiles" / f"{digest}.json"
