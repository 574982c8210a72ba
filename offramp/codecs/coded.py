"""Codecs of whole numbers that go through a context model, whole or as the change from a reference.

The codes of a sample are taken from those of an earlier one of its stream, and what is left is
coded in the context of both. Codes are not lossy, so a sample comes out the same either way. That
pays where samples that follow each other are alike, such as the frames of a camera; where those
that a codec is calibrated on are not, it does not learn to.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from offramp.codecs.calibrated import CalibratedCodec, Learnt
from offramp.codecs.planes import Planes
from offramp.codecs.reference import MOST_BYTES, Reference
from offramp.errors import ConfigError
from offramp.tensors import Array, TensorSpec

if TYPE_CHECKING:
    from offramp.codecs.context_model import ContextModel

__all__ = ["Coded", "CodedCodec", "few", "learn_changes", "models_of"]

_MOST_ELEMENTS = 1 << 22
_TRIED = 64  # pairs that changes are learnt from, and as many that they are tried on
_FEWEST = 8
_WORTH_IT = 0.9  # of the bytes of whole samples
_CLEARLY_LESS = 0.7  # of the last whole payload: then this one's is not written to be compared
_CHANGES = "changes_"


@dataclass(frozen=True, eq=False)
class Coded(Learnt):
    """A context model (`offramp.codecs.context_model`) for the planes of a tensor.

    ``changes`` is one for what changes between samples that follow each other, which knows the
    earlier one's codes; None where that would save little.
    """

    planes: Planes
    model: ContextModel
    changes: ContextModel | None

    def __post_init__(self) -> None:
        channels = self.planes.sides[0]
        if self.model.channels != channels or self.model.known:
            raise ConfigError(
                f"a model of {self.model.channels} channels is none for {self.planes}"
            )
        changes = self.changes
        if changes and (not changes.channels == changes.known == channels or changes.sparse):
            raise ConfigError(f"a model of {changes.channels} changes is none for {self.planes}")

    def given(self, values: Array) -> Array | None:
        """Return what is coded of float32 (C, H, W); None if it cannot be."""
        return values

    def made(self, found: Array) -> Array | None:
        """Return what becomes of that, float32 (C, H, W); None if it is nothing `given` gives."""
        return found

    def arrays(self) -> dict[str, Array]:
        """Return the models' arrays."""
        found = self.model.arrays()
        if self.changes:
            found |= {_CHANGES + name: one for name, one in self.changes.arrays().items()}
        return found

    def encode(self, values: Array) -> bytes | None:
        """Return the coded codes."""
        codes = self.codes(values)
        return None if codes is None else self.write(codes)

    def decode(self, payload: bytes | memoryview) -> Array | None:
        """Return what the codes stand for in their contexts."""
        found = self.read(payload)
        return None if found is None else found[0]

    def codes(self, values: Array) -> Array | None:
        """Return the codes, as `ContextModel.codes` does; None if values cannot be carried."""
        given = self.given(values)
        return None if given is None else self.model.codes(given)

    def write(self, codes: Array) -> bytes:
        """Return the payload of codes."""
        return self.model.write(codes, self.planes.sides)

    def read(self, payload: bytes | memoryview) -> tuple[Array, Array] | None:
        """Return float32 (C, H, W) and the codes; None for what `write` did not write."""
        from offramp.codecs.context_coder import blank

        codes = blank(self.planes.sides)
        found = self.model.read(payload, codes, self.planes.sides)
        made = None if found is None else self.made(found)
        return None if made is None else (made, codes)

    def write_change(self, codes: Array, before: Array) -> bytes | None:
        """Return the payload of how codes differ from those ``before``; None if by too much."""
        from offramp.codecs.context_coder import LARGEST

        assert self.changes is not None
        change = np.subtract(codes, before, dtype=np.int32)
        if np.abs(change).max() > LARGEST:
            return None
        return self.changes.write(self._behind(before, change), self.planes.sides)

    def read_change(self, payload: bytes | memoryview, before: Array) -> tuple[Array, Array] | None:
        """Return what `read` returns, from a payload of `write_change`; None for any other."""
        from offramp.codecs.context_coder import LARGEST

        assert self.changes is not None
        sides = self.planes.sides
        planes = self._behind(before, np.zeros_like(before))
        if self.changes.read(payload, planes, sides) is None:
            return None
        codes = np.add(planes[-len(before) :], before, dtype=np.int32)
        if np.abs(codes).max() > LARGEST or (self.model.sparse and codes.min() < 0):
            return None
        codes = codes.astype(np.int16)
        made = self.made(self.model.values(codes, sides))
        return None if made is None else (made, codes)

    def prepare(self) -> None:
        """Compile the loops, or load them compiled."""
        from offramp.codecs.context_model import warm_up

        warm_up()

    def _behind(self, before: Array, change: Array) -> Array:
        """Return planes that are known, and those behind them."""
        plane = len(before) // (self.model.channels + 1)
        return np.concatenate((before[:-plane], change), dtype=np.int16, casting="same_kind")


C = TypeVar("C", bound=Coded)


@dataclass(frozen=True)
class CodedCodec(CalibratedCodec[C]):
    """A codec whose samples are whole numbers when they are written, and so can be compared."""

    @property
    def writes_changes(self) -> bool:
        """Whether it has learnt to write a sample as its change from an earlier one."""
        return self.learnt is not None and self.learnt.changes is not None

    def encode_next(
        self, sample: Array, reference: Reference | None
    ) -> tuple[bytes, bool, Reference]:
        """Return a payload, whether it holds a change from a reference of this codec, and the next.

        It does if that is shorter.
        """
        learnt = self._ready()
        codes = learnt.codes(self._planes_of(sample))
        if codes is None:
            raise self._unfit(sample)
        change = learnt.write_change(codes, reference.codes) if reference else None
        if reference and change is not None:
            kept = Reference(self.id, codes, reference.whole_bytes)
            if len(change) < _CLEARLY_LESS * reference.whole_bytes:
                return change, True, kept
        whole = learnt.write(codes)
        kept = Reference(self.id, codes, len(whole))
        if change is None or len(change) >= len(whole):
            return whole, False, kept
        return change, True, kept

    def decode_next(
        self, payload: bytes | memoryview, spec: TensorSpec, before: Array | None
    ) -> tuple[Array, Array]:
        """Return the sample and the codes of a payload: a change from ``before``, whole if None."""
        learnt, found = self._ready(), None
        if spec.shape == learnt.planes.shape:
            read = learnt.read
            found = read(payload) if before is None else learnt.read_change(payload, before)
        if found is None:
            raise self._foreign(payload, spec)
        return learnt.planes.restore(found[0]), found[1]


def models_of(arrays: Mapping[str, Array]) -> tuple[ContextModel, ContextModel | None]:
    """Return the stored models of codes and of changes; raise `ConfigError` if they are none."""
    from offramp.codecs.context_model import ContextModel

    of_changes = {n.removeprefix(_CHANGES): a for n, a in arrays.items() if n.startswith(_CHANGES)}
    model = ContextModel.of({n: a for n, a in arrays.items() if not n.startswith(_CHANGES)})
    return model, ContextModel.of(of_changes, model.channels) if of_changes else None


def learn_changes(coded: C, samples: Array) -> C:
    """Return what codes samples, (N, C, H, W) in their order, with their changes if these pay."""
    from offramp.codecs import context_coder as coder
    from offramp.codecs.context_model import fit_changes

    tried = min(len(samples) // 2 - 1, _TRIED)
    flat = [codes for sample in samples if (codes := coded.codes(sample)) is not None]
    if tried < _FEWEST or flat[0].nbytes > MOST_BYTES:
        return coded
    codes = np.stack([coder.plain(one, coded.planes.sides) for one in flat])
    if _entropy(np.diff(codes[: tried + 1].astype(np.int32), axis=0)) > _entropy(codes[:tried]):
        return coded

    def learnt(pairs: int) -> C:
        return replace(coded, changes=fit_changes(codes[:pairs], codes[1 : pairs + 1]))

    one, rest = learnt(tried), flat[tried + 1 : 2 * tried + 2]
    sizes = [len(coded.write(now)) for now in rest[1:]]
    changes = [one.write_change(now, was) for was, now in itertools.pairwise(rest)]
    changed = sum(
        size if change is None else min(len(change), size)
        for change, size in zip(changes, sizes, strict=True)
    )
    whole = sum(sizes)
    return learnt(len(codes) - 1) if changed <= _WORTH_IT * whole else coded


def _entropy(codes: Array) -> float:
    """Return the entropy of whole numbers, in nats, whatever their places."""
    _, counts = np.unique(codes, return_counts=True)
    return float(-(counts * np.log(counts / counts.sum())).sum() / counts.sum())


def few(samples: Array) -> Array:
    """Return as many of the first samples as a model is worth being learnt from."""
    return samples[: max(_MOST_ELEMENTS // samples[0].size, 8)]
