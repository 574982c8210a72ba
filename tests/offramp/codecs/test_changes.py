"""Samples of a stream that go as their change from an earlier one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp import codecs
from offramp.codecs import Reference
from offramp.codecs.coded import CodedCodec
from offramp.codecs.effect import square_error
from offramp.codecs.reference import MOST_BYTES
from offramp.errors import ConfigError, FrameError, InputError, MissingReferenceError
from offramp.frame import is_change, pack_short
from offramp.tensors import TensorSpec

SHAPE = (4, 6, 7)
SPEC = TensorSpec("x", "float32", SHAPE)
NAMES = [name for name in codecs.names() if isinstance(codecs.get(name), CodedCodec)]
FEW = ["context10", "coarse3", "learned2"]


def unrelated(seed, count=60):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype("float32")


def stream(seed, count=60, changing=0.05, sparse=True):
    """Return samples of which each differs from the one before in a few places."""
    random = np.random.default_rng(seed)
    samples = [random.normal(size=SHAPE)]
    for _ in range(count - 1):
        fresh = random.random(SHAPE) < changing
        samples.append(np.where(fresh, random.normal(size=SHAPE), samples[-1]))
    found = np.array(samples, "float32")
    return np.maximum(found, 0) if sparse else found


def fitted(name, samples):
    return codecs.get(name).fit(samples, square_error(samples))


def decoded(codec, data, reference):
    known = {codec.id: codec}
    return codecs.decode_next(
        data, SPEC, limit_bytes=SPEC.nbytes, calibrated=known, reference=reference
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sparse", [True, False])
def test_a_stream_arrives_as_it_would_in_whole_frames_in_fewer_bytes(name, sparse) -> None:
    codec, sent, kept = fitted(name, stream(1, sparse=sparse)), None, None
    assert codec.writes_changes
    sizes, whole_sizes = [], []
    for sample in stream(2, sparse=sparse):
        whole = codecs.encode(codec, sample)
        data, sent_next = codecs.encode_next(codec, sample, sent)
        found, kept_next = decoded(codec, data, kept)
        assert found.tobytes() == decoded(codec, whole, None)[0].tobytes()
        assert sent_next.codes.tobytes() == kept_next.codes.tobytes()
        assert data == whole or is_change(data)
        sizes.append(len(data) - 6)
        whole_sizes.append(len(whole) - 6)
        sent, kept = sent_next, kept_next
    assert sum(sizes[1:]) < 0.7 * sum(whole_sizes[1:])
    assert sizes[0] == whole_sizes[0]


@pytest.mark.parametrize("name", NAMES)
def test_samples_that_are_not_alike_teach_no_changes(name) -> None:
    codec = fitted(name, unrelated(1))
    assert not codec.writes_changes
    assert not any(parameter.startswith("changes") for parameter in codec.parameters())
    data, reference = codecs.encode_next(codec, unrelated(2)[0], None)
    assert reference is None
    assert data == codecs.encode(codec, unrelated(2)[0])


def test_large_tensors_teach_no_changes() -> None:
    samples = np.tile(stream(1, count=20), (1, 40, 20, 2))
    assert samples[0].size * 2 > MOST_BYTES
    assert not fitted("coarse2", samples).writes_changes


def test_of_a_sample_that_changes_little_the_whole_is_not_written(monkeypatch) -> None:
    codec, (first, second) = fitted("context10", stream(1)), stream(2, changing=0.02)[:2]
    _, reference = codecs.encode_next(codec, first, None)
    whole = codecs.encode(codec, second)
    written = []
    monkeypatch.setattr(type(codec.learnt), "write", lambda self, codes: written.append(1) or b"")
    data, later = codecs.encode_next(codec, second, reference)
    assert is_change(data)
    assert written == []
    assert len(data) < len(whole)
    assert later.whole_bytes == reference.whole_bytes > 0


def test_few_samples_teach_no_changes() -> None:
    assert not fitted("context10", stream(1, count=17)).writes_changes
    assert fitted("context10", stream(1, count=40)).writes_changes


@pytest.mark.parametrize("name", FEW)
def test_any_earlier_sample_is_a_reference(name) -> None:
    codec, samples, random = fitted(name, stream(1)), stream(2), np.random.default_rng(0)
    references = [codecs.encode_next(codec, one, None)[1] for one in samples]
    for at in range(1, len(samples)):
        reference = references[int(random.integers(at))]
        data, _ = codecs.encode_next(codec, samples[at], reference)
        whole = codecs.encode(codec, samples[at])
        assert (
            decoded(codec, data, reference)[0].tobytes() == decoded(codec, whole, None)[0].tobytes()
        )


@pytest.mark.parametrize("name", FEW)
def test_stored_parameters_read_the_same_changes(name) -> None:
    codec = fitted(name, stream(1))
    again = codecs.get(name).with_parameters(codec.parameters())
    assert again.fingerprint == codec.fingerprint
    first, second = stream(2)[:2]
    _, reference = codecs.encode_next(codec, first, None)
    data, _ = codecs.encode_next(codec, second, reference)
    assert is_change(data)
    assert (
        decoded(again, data, reference)[0].tobytes() == decoded(codec, data, reference)[0].tobytes()
    )


@pytest.mark.parametrize("name", FEW)
class TestWhatIsNoChange:
    def made(self, name):
        codec, (first, second) = fitted(name, stream(1)), stream(2)[:2]
        _, reference = codecs.encode_next(codec, first, None)
        data, _ = codecs.encode_next(codec, second, reference)
        assert is_change(data)
        return codec, reference, data

    def test_without_its_reference_it_is_refused(self, name) -> None:
        codec, reference, data = self.made(name)
        other = Reference(codec.id + 1, reference.codes)
        for wrong in (None, other):
            with pytest.raises(MissingReferenceError, match="send this one whole"):
                decoded(codec, data, wrong)

    def test_with_another_reference_it_is_refused(self, name) -> None:
        codec, reference, data = self.made(name)
        codes = reference.codes.copy()
        codes[20] += 1
        with pytest.raises(FrameError, match="checksum"):
            decoded(codec, data, Reference(codec.id, codes))

    def test_who_has_learnt_no_changes_refuses_it(self, name) -> None:
        codec, reference, data = self.made(name)
        plain = replace(codec, learnt=replace(codec.learnt, changes=None))
        with pytest.raises(FrameError, match="not learnt to read"):
            decoded(plain, data, reference)

    def test_no_whole_frame_passes_for_a_change(self, name) -> None:
        codec, reference, data = self.made(name)
        whole = bytearray(codecs.encode(codec, stream(2)[1]))
        whole[1] |= 0x80
        with pytest.raises(FrameError, match="checksum"):
            decoded(codec, bytes(whole), reference)
        with pytest.raises(FrameError, match="checksum"):
            decoded(codec, data[:1] + bytes((data[1] & 0x7F,)) + data[2:], reference)

    def test_every_flipped_bit_and_every_cut_is_noticed(self, name) -> None:
        codec, reference, data = self.made(name)
        for place in range(8 * len(data)):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            with pytest.raises(FrameError):
                decoded(codec, bytes(changed), reference)
        for length in range(len(data)):
            with pytest.raises(FrameError):
                decoded(codec, data[:length], reference)

    def test_a_reference_of_another_level_is_not_used(self, name) -> None:
        codec, reference, _ = self.made(name)
        other = Reference(codec.id + 1, reference.codes)
        data, _ = codecs.encode_next(codec, stream(2)[1], other)
        assert data == codecs.encode(codec, stream(2)[1])

    def test_what_cannot_be_carried_says_so(self, name) -> None:
        codec, reference, _ = self.made(name)
        infinite = stream(2)[1].copy()
        infinite[0, 0, 0] = np.nan
        for sample in (infinite, infinite[:, :3]):
            with pytest.raises(InputError, match="finite numbers of shape"):
                codecs.encode_next(codec, sample, reference)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(FEW))
def test_forged_changes_are_refused_or_are_samples(data, name) -> None:
    codec = CODECS[name]
    _, reference = codecs.encode_next(codec, stream(2)[0], None)
    payload = data.draw(st.binary(max_size=80))
    try:
        found, codes = codec.decode_next(payload, SPEC, reference.codes)
    except FrameError:
        return
    assert (found.dtype, found.shape) == (np.float32, SHAPE)
    assert np.isfinite(found).all()
    assert codes.shape == reference.codes.shape
    assert np.abs(codes.astype(int)).max() <= 32_000


CODECS = {name: fitted(name, stream(1)) for name in FEW}


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 30), changing=st.floats(0, 1), sparse=st.booleans())
def test_any_pair_of_samples_comes_out_as_it_would_whole(seed, changing, sparse) -> None:
    before, now = stream(seed, 2, changing, sparse)
    for codec in CODECS.values():
        _, reference = codecs.encode_next(codec, before, None)
        codes = codec.learnt.codes(codec.learnt.planes.view(now))
        change = codec.learnt.write_change(codes, reference.codes)
        found, read = codec.decode_next(change, SPEC, reference.codes)
        assert read.tobytes() == codes.tobytes()
        assert found.tobytes() == decoded(codec, codecs.encode(codec, now), None)[0].tobytes()


def test_a_change_that_is_too_large_is_sent_whole() -> None:
    codec = CODECS["learned2"]
    low, high = np.full(SHAPE, -1e6, "float32"), np.full(SHAPE, 1e6, "float32")
    _, reference = codecs.encode_next(codec, low, None)
    data, _ = codecs.encode_next(codec, high, reference)
    assert data == codecs.encode(codec, high)


def test_codes_that_a_forged_change_takes_out_of_range_are_refused() -> None:
    learnt, ones = CODECS["learned2"].learnt, np.ones(SHAPE, "float32")
    up = learnt.codes(learnt.planes.view(5 * ones))
    for size, sound in ((1e6, False), (-1e6, True)):
        before = learnt.codes(learnt.planes.view(size * ones))
        forged = learnt.changes.write(learnt._behind(before, up), learnt.planes.sides)
        assert (learnt.read_change(forged, before) is not None) == sound
    sparse = CODECS["context10"].learnt
    assert sparse.model.sparse
    some = sparse.codes(sparse.planes.view(ones))
    for before, sound in ((some, True), (0 * some, False)):
        forged = sparse.changes.write(sparse._behind(before, -some), sparse.planes.sides)
        assert (sparse.read_change(forged, before) is not None) == sound


def test_a_model_of_changes_fits_its_codec() -> None:
    parameters = CODECS["learned2"].parameters()
    other = fitted("learned2", stream(1)[:, :3]).parameters()
    mixed = {**parameters, **{n: a for n, a in other.items() if n.startswith("changes")}}
    with pytest.raises(ConfigError, match="changes is none for"):
        codecs.get("learned2").with_parameters(mixed)
    upwards = {**parameters, "changes_lowest": np.array(0, "int32")}
    with pytest.raises(ConfigError, match="changes is none for"):
        codecs.get("learned2").with_parameters(upwards)
    with pytest.raises(ConfigError, match="a context model has the arrays"):
        codecs.get("learned2").with_parameters(
            {n: a for n, a in parameters.items() if n != "changes_weights"}
        )
    wild = {**parameters, "changes_sources": parameters["changes_sources"] + 100}
    with pytest.raises(ConfigError, match="out of range"):
        codecs.get("learned2").with_parameters(wild)


def test_a_change_states_its_bit_and_its_codec() -> None:
    with pytest.raises(InputError, match="codec 200"):
        pack_short(200, b"", 0)
    data = pack_short(66, b"abc", 0, is_change=True)
    assert data[1] == 66 | 0x80
    assert is_change(data)
    assert not is_change(pack_short(66, b"abc", 0))
