"""Speed of codecs on one core, in MB of float32 tensor a second, with other libraries beside them.

All encode and decode the same boundary tensors of a compiled network, in turn. Zstandard level 3,
blosc2 (bitshuffle and Zstandard) and numcodecs (shuffle and Zstandard; and with values rounded to
the bits of `affine4`) write float32; what they leave is said beside their speed. Encoding is also
compared with the time of the head that comes before it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import zstandard

from benchmarks.codec_bundles import NAMES, bundle_of, samples_of
from benchmarks.codec_tasks import fit_cut
from benchmarks.harness import Options, build_parser, finish, spread, tabulate
from offramp.errors import ConfigError
from offramp.network import Network
from offramp.tensors import Array

LEVELS = (
    "lossless",
    "fp16",
    "affine8",
    "affine4",
    "affine2",
    "context5",
    "context20",
    "context100",
)
SAMPLES, QUICK = 40, 8
ROUNDS = 5
Call = Callable[[Any], Any]


@dataclass
class Contestant:
    """A codec's two ways, the bytes it writes and the seconds that each call took."""

    encode: Call
    decode: Call
    sizes: list[int] = field(default_factory=list)
    encode_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)

    def run(self, sample: Array) -> None:
        """Take one sample there and back."""
        started = time.perf_counter()
        written = self.encode(sample)
        middle = time.perf_counter()
        self.decode(written)
        self.encode_s.append(middle - started)
        self.decode_s.append(time.perf_counter() - middle)
        self.sizes.append(len(written))


def main() -> None:
    parser = build_parser("codec_speed", __doc__)
    parser.add_argument("--task", dest="tasks", action="append", choices=NAMES)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    for name in given.tasks or (["cluttered_digits"] if given.quick else NAMES):
        try:
            figures[name] = _measure(name, QUICK if given.quick else SAMPLES)
        except ConfigError as error:
            print(f"leaving out {name}: {error}")
    finish("codec_speed", _line(figures), figures, Options(given.quick, given.json))


def _measure(name: str, count: int) -> dict[str, Any]:
    """Time everything at every cut of a task whose boundary is one float32 tensor."""
    network = Network(bundle_of(name))
    held_out = list(samples_of(name, "held_out", 100).inputs)
    found = {}
    for cut in range(1, network.depth):
        tensors = network.run(0, cut, held_out)
        if len(tensors) > 1 or tensors[0].dtype != np.float32:
            continue
        known = fit_cut(network, cut, tensors)[1]
        contestants = _rivals(tensors[0][0].shape)
        for level in LEVELS:
            codec, decode = known.at(cut, level), partial(known.decode, cut, limit_bytes=1 << 28)
            contestants[level] = Contestant(
                lambda sample, codec=codec: codec.encode([sample]).frames[0],
                lambda frame, decode=decode: decode([frame]),
            )
        for _ in range(ROUNDS):
            for sample in tensors[0][:count]:
                for contestant in contestants.values():
                    contestant.run(sample)
        head_s = _head_s(network, cut, held_out)
        nbytes = tensors[0][0].nbytes
        rows = {label: _figures(one, nbytes, head_s) for label, one in contestants.items()}
        tabulate(
            f"{name}, cut {cut}: {nbytes} bytes, head {head_s * 1e3:.2f} ms", COLUMNS, _rows(rows)
        )
        found[str(cut)] = {"nbytes": nbytes, "head_s": head_s, "codecs": rows}
    return found


def _rivals(shape: Sequence[int]) -> dict[str, Contestant]:
    """Return what others offer; a library that is not installed is left out."""
    up, down = zstandard.ZstdCompressor(level=3), zstandard.ZstdDecompressor()
    rivals = {
        "zstandard 3": Contestant(lambda x: up.compress(x.tobytes()), down.decompress),
    }
    try:
        import blosc2

        settings = {
            "codec": blosc2.Codec.ZSTD,
            "clevel": 3,
            "filters": [blosc2.Filter.BITSHUFFLE],
            "typesize": 4,
            "nthreads": 1,
        }
        rivals["blosc2 bitshuffle, zstd"] = Contestant(
            lambda x: blosc2.compress2(np.ascontiguousarray(x), **settings), blosc2.decompress2
        )
    except ImportError:
        print("leaving out blosc2: it is not installed (pip install blosc2)")
    try:
        import numcodecs

        shuffled = numcodecs.Blosc("zstd", 3, numcodecs.Blosc.SHUFFLE)
        rounded = numcodecs.BitRound(keepbits=3)
        rivals["numcodecs shuffle, zstd"] = Contestant(
            lambda x: shuffled.encode(np.ascontiguousarray(x)), shuffled.decode
        )
        rivals["numcodecs rounded to 3 bits, zstd"] = Contestant(
            lambda x: shuffled.encode(rounded.encode(np.ascontiguousarray(x))),
            lambda b: rounded.decode(np.frombuffer(shuffled.decode(b), np.uint8)),
        )
    except ImportError:
        print("leaving out numcodecs: it is not installed (pip install numcodecs)")
    return rivals


def _head_s(network: Network, cut: int, tensors: list[Array]) -> float:
    times = []
    for at in range(12):
        started = time.perf_counter()
        network.run(0, cut, [array[at : at + 1] for array in tensors])
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


COLUMNS = ["codec", "bytes", "encode MB/s", "decode MB/s", "encode us", "of the head"]


def _figures(one: Contestant, nbytes: int, head_s: float) -> dict[str, Any]:
    return {
        "bytes": statistics.fmean(one.sizes),
        "encode_s": one.encode_s,
        "decode_s": one.decode_s,
        "encode_bps": nbytes / statistics.median(one.encode_s),
        "decode_bps": nbytes / statistics.median(one.decode_s),
        "of_head": statistics.median(one.encode_s) / head_s,
    }


def _rows(found: dict[str, dict[str, Any]]) -> list[list[str]]:
    return [
        [
            label,
            f"{one['bytes']:.0f}",
            f"{one['encode_bps'] / 1e6:.0f}",
            f"{one['decode_bps'] / 1e6:.0f}",
            spread(one["encode_s"], 1e6),
            f"{one['of_head']:.1%}",
        ]
        for label, one in found.items()
    ]


def _line(figures: dict[str, Any]) -> str:
    ratios = [
        one["codecs"]["context20"]["encode_bps"] / one["codecs"]["zstandard 3"]["encode_bps"]
        for cuts in figures.values()
        for one in cuts.values()
    ]
    shares = [
        one["codecs"]["context20"]["of_head"] for cuts in figures.values() for one in cuts.values()
    ]
    if not ratios:
        return "nothing measured"
    return (
        f"context20 encodes {statistics.median(ratios):.2f} times as fast as zstandard 3 "
        f"({min(ratios):.2f} to {max(ratios):.2f}) and takes {statistics.median(shares):.1%} of "
        "the head's time (medians of cuts)"
    )


if __name__ == "__main__":
    main()
