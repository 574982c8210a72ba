"""Costs: what candidates take of device, link and server by two machines' profiles.

Conditions are left out: of one sample, in the mean, a candidate demands seconds of device and
server and bytes of the uplink, and what any of these is worth now multiplies its demand. So mean
latency, energy and server time are linear forms of the demands (`docs/design`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Bundle
from offramp.guarantee.device_costs import held_bytes
from partitioner.candidates import CLOSED, Candidates
from partitioner.demands import Demands, Floats
from partitioner.power import Power
from partitioner.profile import Profile, Timing

__all__ = ["FRAME_OVERHEAD_BYTES", "Costs", "cost_candidates"]

FRAME_OVERHEAD_BYTES = 110
"""Bytes that a request adds to its frames: protobuf fields, gRPC and HTTP/2 framing, TCP/IP."""

_NORMAL = NormalDist()
_SUREST = 0.9999  # for what no sample may break there is no link that is slow enough

_NEVER_S = 1e9
"""How long a device takes for what it does not hold: products with 0 are to be 0."""


@dataclass(frozen=True)
class Costs:
    """C candidates with E exits and what a sample costs that goes to the end of each.

    ``exit_s`` (C, E): until the answer of a sample that leaves there. ``device_s`` (C,): until one
    that stays is answered on the device, or is encoded. ``server_s`` (C,): of tail and decoding.
    ``rest_s`` (C,): until the device itself has answered what is encoded; 1e9 where it does not
    hold the rest. ``held_bytes`` (C,): of the device's memory. ``power`` is what the device
    draws, if its profile says so.
    """

    candidates: Candidates
    exit_s: Floats
    device_s: Floats
    server_s: Floats
    rest_s: Floats
    held_bytes: Floats
    power: Power | None

    def __len__(self) -> int:
        return len(self.candidates)

    def select(self, rows: NDArray[Any]) -> Costs:
        """Return some of the candidates with their costs."""
        return Costs(
            self.candidates.select(rows),
            self.exit_s[rows],
            self.device_s[rows],
            self.server_s[rows],
            self.rest_s[rows],
            self.held_bytes[rows],
            self.power,
        )

    @cached_property
    def sends(self) -> NDArray[np.bool_]:
        """Bool (C,): whether a sample that no exit answers is sent."""
        return self.candidates.sends

    @cached_property
    def stayed(self) -> NDArray[np.int64]:
        """How many of the calibration samples leave at no exit, (C,)."""
        stays = 1.0 - self.candidates.exit_shares.sum(axis=1)
        stayed: NDArray[np.int64] = np.rint(stays * self.candidates.sent_bytes.shape[1]).astype(int)
        return stayed

    @cached_property
    def mean(self) -> Demands:
        """The demands of a sample in the mean."""
        c = self.candidates
        stays = 1.0 - c.exit_shares.sum(axis=1)
        device_s, device_s2 = (
            (c.exit_shares * self.exit_s**power).sum(axis=1) + stays * self.device_s**power
            for power in (1, 2)
        )
        sent = stays * self.sends
        rest_s = np.where(sent > 0, self.rest_s, 0.0)
        return self._demands(device_s, sent, c.bytes_mean)._replace(
            device_s2=device_s2, rest_s2=sent * rest_s * (2 * self.device_s + rest_s)
        )

    def tail(self, share: float) -> Demands:
        """Return the demands of the sample that a share of the samples is not slower than.

        A sample that leaves is earlier than one that is sent, and of these the one with more bytes
        is later: which sample it is hangs on no conditions. The link it meets is as slow among
        links as it is itself among those that are sent: of samples alike that is exact, and on a
        link that is not in doubt for all.
        """
        c = self.candidates
        samples = c.sent_bytes.shape[1]
        place = max(int(np.ceil(share * samples - 1e-9)) - 1, 0)
        device_s, stays = self.device_s, np.ones(len(self), bool)
        gone = c.exit_shares.cumsum(axis=1) * samples > place + 0.5
        for at in reversed(range(gone.shape[1])):
            device_s = np.where(gone[:, at], self.exit_s[:, at], device_s)
            stays &= ~gone[:, at]
        sent = (stays & self.sends).astype(np.float64)
        sigmas = sent * _sigmas(1.0 - c.exit_shares.sum(axis=1), 1.0 - share)
        demands = self._demands(device_s, sent, sent * c.sent_bytes[:, place])
        return demands._replace(link_sigmas=sigmas)

    def _demands(self, device_s: Floats, sent: Floats, sent_bytes: Floats) -> Demands:
        """Return the demands on a link that is as expected, waits left out."""
        none = np.zeros_like(sent)
        return Demands(
            device_s,
            sent,
            server_s=sent * self.server_s,
            uplink_bytes=sent_bytes + sent * FRAME_OVERHEAD_BYTES,
            rest_s=sent * np.where(sent > 0, self.rest_s, 0.0),
            link_sigmas=none,
            device_s2=none,
            rest_s2=none,
        )


def cost_candidates(
    bundle: Bundle, candidates: Candidates, device: Profile, server: Profile
) -> Costs:
    """Return what the candidates cost by the median times of two profiles of the bundle."""
    manifest, cut = bundle.manifest, candidates.cut
    runs = candidates.thresholds < CLOSED
    spent = np.cumsum(runs * np.array([t.median_s for t in device.exits]), axis=1)
    at = [spec.boundary for spec in manifest.exits]
    # Measurements waver, but no head is faster than a shorter one: quantiles rely on that.
    head_s = np.maximum.accumulate([t.median_s for t in device.head])
    tail_s = np.array([t.median_s for t in server.tail])
    depth = len(manifest.segments)
    whole = manifest.reach == depth
    rest_s = [device.between_s(k, depth) if whole else _NEVER_S for k in range(depth + 1)]
    held = [held_bytes(manifest, k) for k in range(depth + 1)]
    keys = [f"{at}/{level}" for at, level in zip(cut.tolist(), candidates.level, strict=True)]
    return Costs(
        candidates,
        exit_s=head_s[at] + spent if at else spent,
        device_s=head_s[cut] + (spent[:, -1] if at else 0.0) + _medians(device.encode, keys),
        server_s=tail_s[cut] + _medians(server.decode, keys),
        rest_s=np.array(rest_s)[cut],
        held_bytes=np.array(held, dtype=np.float64)[cut],
        power=device.power,
    )


def _sigmas(stays: Floats, later: float) -> Floats:
    """Return by how many standard deviations a link is slow that is met by as many as are later.

    (C,): of a share ``stays`` of all samples ``later`` is the share that is later. A link is never
    counted on to be better than expected.
    """
    shares = 1.0 - later / np.maximum(stays, max(2 * later, 1e-9))
    kinds, place = np.unique(np.minimum(shares, _SUREST), return_inverse=True)
    sigmas: Floats = np.array([_NORMAL.inv_cdf(float(kind)) for kind in kinds])[place]
    return sigmas


def _medians(timings: Mapping[str, Timing], keys: list[str]) -> Floats:
    """Return the times of codec levels; those of plans that send nothing are 0."""
    return np.array([timings[key].median_s if key in timings else 0.0 for key in keys])
