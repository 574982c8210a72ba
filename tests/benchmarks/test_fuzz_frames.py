"""The fuzzer finds what is wrong, and finds nothing wrong with the codecs there are."""

import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import fuzz_frames
from benchmarks.fuzz_frames import Subject, altered, every_subject, fuzz
from offramp.codecs.context import Context

SUBJECTS = every_subject()
KNOWN = {one.codec.id: one.codec for one in SUBJECTS if one.codec.calibrated}


@pytest.mark.parametrize("subject", SUBJECTS, ids=[one.name for one in SUBJECTS])
def test_no_frame_does_harm(subject) -> None:
    tally = fuzz(subject, KNOWN, 250, np.random.default_rng(11))
    assert tally.wrong == []
    assert tally.cases == tally.refused + tally.unchanged + tally.forged == 250
    assert tally.refused > 150


class Careless(Context):
    def decode(self, payload, spec):
        raise IndexError("out of bounds")


class Slow(Context):
    def decode(self, payload, spec):
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return super().decode(payload, spec)


def attacked(kind) -> tuple[Subject, dict]:
    sound = next(one for one in SUBJECTS if isinstance(one.codec, Context))
    codec = sound.codec
    other = kind(codec.name, codec.id, codec.lossless, codec.learnt, codec.change)
    return replace(sound, codec=other), {codec.id: other}


def test_another_exception_is_found() -> None:
    tally = fuzz(*attacked(Careless), 100, np.random.default_rng(0))
    assert any("IndexError: out of bounds" in line for line in tally.wrong)


@pytest.mark.parametrize("subject", SUBJECTS, ids=[one.name for one in SUBJECTS])
def test_another_tensor_is_found(subject, monkeypatch) -> None:
    monkeypatch.setattr(fuzz_frames, "altered", lambda valid, rng: valid)
    assert fuzz(subject, KNOWN, 40, np.random.default_rng(0)).wrong == []
    others = tuple(sample + 1 for sample in subject.decoded)
    tally = fuzz(replace(subject, decoded=others), KNOWN, 40, np.random.default_rng(0))
    assert any("silently another tensor" in line for line in tally.wrong)


def test_a_slow_case_is_found(monkeypatch) -> None:
    monkeypatch.setattr(fuzz_frames, "LONGEST_S", 0.01)
    tally = fuzz(*attacked(Slow), 40, np.random.default_rng(0))
    assert any("took" in line for line in tally.wrong)
    assert tally.longest_s >= 0.02


def test_altered_bytes_are_almost_always_others() -> None:
    rng = np.random.default_rng(0)
    valid = bytes(range(60))
    others = [altered(valid, rng) for _ in range(500)]
    assert sum(one == valid for one in others) < 25
    assert len(set(others)) > 400
    assert altered(b"", rng) is not None
