"""Remembered profiles: what was measured on this machine, kept beside the unpacked bundles."""

from __future__ import annotations

import contextlib
from pathlib import Path

from offramp.bundle import Bundle
from offramp.bundle.cache import cache_folder
from offramp.errors import OfframpError
from offramp.files import replacing
from partitioner.machine import as_measured, this_machine
from partitioner.profile import Profile, load_profile

__all__ = ["recall", "remember"]


def remember(profile: Profile) -> None:
    """Keep a profile for the next start, with what is remembered of runners that it lacks.

    So is what the machine draws. If that cannot be, it is measured again then.
    """
    path = _path(profile.digest)
    known = _load(path)
    if known is not None and known.machine == profile.machine:
        new = {(runner.backend, runner.threads) for runner in profile.runners}
        others = (r for r in known.runners if (r.backend, r.threads) not in new and as_measured(r))
        profile = profile.having((*profile.runners, *others)).drawing(profile.power or known.power)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(profile.model_dump_json())


def recall(bundle: Bundle, backend: str | None, threads: int | None) -> Profile | None:
    """Return what is remembered of a bundle on this machine as it is now, or None.

    Backends are left out that were measured in another version, or whose programs are not here.
    """
    known = _load(_path(bundle.digest))
    if known is None or known.machine != this_machine():
        return None
    here = {engine.name for engine in bundle.backends}
    runners = tuple(r for r in known.runners if r.backend in here and as_measured(r))
    with contextlib.suppress(OfframpError):  # whatever is wrong with it, it is measured again
        known.check(bundle)
        return known.having(runners).only(backend, threads) if runners else None
    return None


def _load(path: Path) -> Profile | None:
    try:
        return load_profile(path)
    except OfframpError:
        return None


def _path(digest: str) -> Path:
    return cache_folder() / "profiles" / f"{digest}.json"
