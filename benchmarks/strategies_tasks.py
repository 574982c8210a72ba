"""What strategies are compared on: compiled networks, with profiles of a slow device and a server.

The server is this machine, on one thread. The device is this machine slowed by the factor that
makes the whole model take a given time there: an unslowed one would never send at these sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from offramp.bundle import open_bundle
from offramp.bundle.cache import cache_folder
from offramp.files import write_file
from partitioner.measure import measure_profile
from partitioner.profile import load_profile

__all__ = ["TASKS", "Task", "home", "prepare"]

_RUNNER = ("onnxruntime", 1)


@dataclass(frozen=True)
class Task:
    """A bundle and its profile, as files, and how a device runs it.

    The whole model takes ``device_s`` on the device, which is ``slowdown`` times slower than what
    was measured.
    """

    name: str
    bundle: Path
    profile: Path
    slowdown: float
    device_s: float

    @property
    def period_s(self) -> float:
        """How often a sample comes: the device alone can just sustain it."""
        return 1.5 * self.device_s

    @property
    def deadline_s(self) -> float:
        """When a device answers by itself, under every strategy alike."""
        return 5 * self.device_s

    @property
    def late_s(self) -> float:
        """From when on an answer counts as a miss: a fourth above the device's own time."""
        return 1.25 * self.device_s


def home() -> Path:
    """Return the folder in the cache where all of this benchmark lies."""
    return cache_folder() / "benchmarks" / "strategies"


def prepare(name: str, rounds: int, *, again: bool = False) -> Task:
    """Return one of `TASKS`.

    Its bundle is compiled if there is none in the cache, and its profile is measured in so many
    ``rounds`` if there is none or it is to be measured ``again``.
    """
    make, device_s = TASKS[name]
    path = make()
    bundle = open_bundle(path)
    profile = home() / f"{name}-{bundle.digest[:12]}.profile.json"
    if again or not profile.exists():
        print(f"measuring {name}", flush=True)
        measured = measure_profile(bundle, [_RUNNER], rounds=rounds)
        profile.parent.mkdir(parents=True, exist_ok=True)
        write_file(profile, measured.model_dump_json(indent=1).encode())
    whole_s = load_profile(profile).main.head[-1].median_s
    return Task(name, path, profile, device_s / whole_s, device_s)


def _codec_bundle(name: str) -> Path:
    """Return the newest bundle that the benchmark of codecs has compiled, or let it compile one."""
    made = _made(name)
    if not made:
        from benchmarks.codec_bundles import bundle_of  # it takes torch

        bundle_of(name)
        made = _made(name)
    return made[-1]


def _made(name: str) -> list[Path]:
    """Return the bundles of codecs' benchmark, the newest last."""
    found = home().parent.glob(f"codec-{name}-*.offramp")
    return sorted(found, key=lambda path: path.stat().st_mtime)


def _large_bundle() -> Path:
    from benchmarks.large_bundle import large_bundle

    return large_bundle()


TASKS: dict[str, tuple[Callable[[], Path], float]] = {
    "fashion_mnist": (partial(_codec_bundle, "fashion_mnist"), 0.2),
    "cifar10": (partial(_codec_bundle, "cifar10"), 0.2),
    "resnet_50": (_large_bundle, 0.5),
}
"""By name: what finds or makes the bundle, and the whole model's time on the device."""
