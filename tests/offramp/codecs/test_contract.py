"""Every registered codec keeps the contract that stands in `offramp.codecs.codec`."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from offramp import codecs
from offramp.boundary_codec import BundleCodecs, split_parameters
from offramp.bundle import BottleneckSpec, Boundary, ProgramSpec
from offramp.codecs import Codec
from offramp.codecs.codec import Parameters
from offramp.codecs.effect import square_error
from offramp.errors import BundleError, ConfigError, FrameError, InputError
from offramp.tensors import DTYPES, TensorSpec

ALL = [codecs.get(name) for name in codecs.names()]
LIMIT_BYTES = 1 << 24

FEATURE_SHAPES = [(), (1,), (7,), (3, 5), (7, 12), (64, 12, 12), (2, 1, 3, 1, 5)]
IMAGE_SHAPES = [(1, 1, 3), (4, 6, 1), (17, 13, 3), (31, 9), (96, 96, 3)]

# The root mean square error that each lossy image codec stays below on smooth pictures.
IMAGE_BOUNDS = {
    "webp90": 3,
    "webp75": 6,
    "webp50": 8,
    "jpeg90": 4,
    "jpeg75": 6,
    "half_webp90": 8,
    "half_webp75": 8,
    "half_png": 8,
}


def spec_of(sample) -> TensorSpec:
    return TensorSpec("x", sample.dtype.name, sample.shape)


def smooth_image(shape):
    rows, columns = np.indices(shape[:2])
    grey = (rows * 2 + columns).astype("uint8")
    return np.broadcast_to(grey.reshape(*shape[:2], *(1,) * (len(shape) - 2)), shape).copy()


def make_samples():
    """Yield tensors of every dtype and many shapes, sparse, signed, constant and random."""
    rng = np.random.default_rng(7)
    for shape in FEATURE_SHAPES:
        for dtype in DTYPES:
            yield np.maximum(20 * rng.normal(size=shape), 0).astype(dtype)
        yield rng.normal(size=shape).astype("float32")
        yield np.full(shape, -3.25, "float32")
        yield np.zeros(shape, "float16")
    for shape in IMAGE_SHAPES:
        yield smooth_image(shape)
        yield rng.integers(0, 256, shape, "uint8")


SAMPLES = list(make_samples())


def carried_by(codec: Codec):
    return [sample for sample in SAMPLES if codec.supports(spec_of(sample))]


def boundary_of(codec: Codec, spec: TensorSpec, numbers) -> Boundary:
    """Return a boundary with the codec's level, and the bottleneck that such a level needs."""
    program = ProgramSpec(folder="x", macs=0)
    pair = BottleneckSpec(tensor=spec.name, latent=spec, encoder=program, decoder=program)
    bottleneck = pair if codec.of_latents else None
    return Boundary(tensors=(spec,), levels={codec.name: (numbers,)}, bottleneck=bottleneck)


def fitted(codec: Codec, *samples) -> Codec:
    stacked = np.stack(samples)
    return codec.fit(stacked, square_error(stacked))


KNOWN: dict[tuple, Parameters] = {}


def ready(codec: Codec, sample) -> Codec:
    """Return a codec that can code a sample: calibrated on it once for all tests, if need be."""
    if not codec.calibrated:
        return codec
    key = (codec.name, sample.dtype.name, sample.shape, sample.tobytes())
    if key not in KNOWN:
        KNOWN[key] = fitted(codec, sample, sample // 2).parameters()
    return codec.with_parameters(KNOWN[key])


def decoded(codec: Codec, data, spec):
    known = {codec.id: codec}
    return codecs.decode(data, spec, limit_bytes=spec.nbytes, calibrated=known)


def error_bound(codec: Codec, sample) -> float:
    """Return what docs/wire-format.md promises about the largest error of an element."""
    peak = float(np.abs(sample.astype(np.float64)).max())
    if codec.lossless:
        return 0.0
    if codec.name == "fp16":
        return max(peak * 2.0**-11, 2.0**-25)
    if codec.name.startswith("affine"):
        step = (float(sample.max()) - float(sample.min())) / (2**codec.bits - 1)
        return 0.5 * step + 4 * peak * float(np.finfo(sample.dtype).eps)
    if codec.name.startswith(("context", "channel", "coarse")):
        return math.inf  # bounded by what it does to answers
    return 255.0


@pytest.mark.parametrize("codec", ALL, ids=codecs.names())
class TestEveryCodec:
    def test_carries_some_of_the_samples(self, codec) -> None:
        assert len(carried_by(codec)) >= 5

    def test_gives_back_what_it_was_given(self, codec) -> None:
        for sample in carried_by(codec):
            spec, one = spec_of(sample), ready(codec, sample)
            found = decoded(one, codecs.encode(one, sample), spec)
            assert found.dtype == sample.dtype
            assert found.shape == sample.shape
            assert found.flags.c_contiguous
            assert found.flags.writeable
            assert found.flags.aligned
            error = np.abs(found.astype(np.float64) - sample.astype(np.float64)).max()
            assert error <= error_bound(codec, sample), spec
            if codec.lossless:
                assert found.tobytes() == sample.tobytes()

    def test_decodes_its_payload_when_found_by_id(self, codec) -> None:
        sample = carried_by(codec)[-1]
        codec = ready(codec, sample)
        payload = codec.encode(sample)
        found = codecs.by_id(codec.id).with_parameters(codec.parameters())
        again = found.decode(memoryview(payload), spec_of(sample))
        assert again.tobytes() == codec.decode(payload, spec_of(sample)).tobytes()

    def test_same_sample_gives_same_bytes_and_stays_as_it_was(self, codec) -> None:
        for sample in carried_by(codec):
            before = sample.copy()
            sample.setflags(write=False)
            one = ready(codec, sample)
            assert one.encode(sample) == one.encode(before)
            assert sample.tobytes() == before.tobytes()

    def test_takes_samples_that_are_not_contiguous(self, codec) -> None:
        for sample in carried_by(codec):
            scattered = np.zeros(tuple(2 * side for side in sample.shape), sample.dtype)
            scattered = scattered[(..., *(slice(None, None, 2),) * sample.ndim)]
            scattered[...] = sample
            one = ready(codec, sample)
            assert one.encode(scattered) == one.encode(sample)
            assert one.encode(np.asfortranarray(sample)) == one.encode(sample)

    def test_parameters_survive_being_stored(self, codec) -> None:
        sample = carried_by(codec)[-1]
        one = fitted(codec, sample, sample // 2)
        learnt = one.parameters()
        numbers, arrays = split_parameters(0, codec.name, "x", learnt)
        assert len(numbers) + len(arrays) == len(learnt)
        assert all(isinstance(value, float) for value in numbers.values())
        stored = load_arrays(save_arrays(arrays))
        boundary = boundary_of(codec, spec_of(sample), numbers)
        (restored,) = BundleCodecs([boundary], stored).at(0, codec.name).codecs
        assert restored.fingerprint == one.fingerprint
        assert restored.encode(sample) == one.encode(sample)
        assert codec.with_parameters({}) == codec

    def test_a_bundle_with_other_parameters_is_a_bundle_error(self, codec) -> None:
        spec = spec_of(carried_by(codec)[-1])
        wrong = [({"zoom": 1.0}, {}), ({}, {f"0/{codec.name}/x/zoom": np.zeros(2)})]
        for numbers, arrays in wrong + [({}, {})] * codec.calibrated:
            boundary = boundary_of(codec, spec, numbers)
            with pytest.raises(BundleError, match=f"level '{codec.name}' of cut 0"):
                BundleCodecs([boundary], arrays).at(0, codec.name)

    def test_other_parameters_have_another_fingerprint(self, codec) -> None:
        sample = max(carried_by(codec), key=lambda one: one.astype(float).std())
        if fitted(codec, sample).parameters():
            each = {fitted(codec, sample // by).fingerprint for by in (2, 3)}
            assert len(each | {codec.fingerprint}) == 3

    def test_unknown_parameters_are_a_config_error(self, codec) -> None:
        with pytest.raises(ConfigError, match="zoom"):
            codec.with_parameters({"zoom": 1.0})

    def test_decodes_with_its_own_parameters_or_none(self, codec) -> None:
        sample = max(carried_by(codec), key=lambda one: one.astype(float).std())
        one, spec = fitted(codec, sample // 2, sample // 3), spec_of(sample)
        data = codecs.encode(one, sample)
        expected = one.decode(one.encode(sample), spec).tobytes()
        assert decoded(one, data, spec).tobytes() == expected
        if not codec.calibrated:
            found = codecs.decode(data, spec, limit_bytes=spec.nbytes)
            assert found.tobytes() == expected
            return
        with pytest.raises(FrameError, match="not calibrated"):
            codecs.decode(data, spec, limit_bytes=spec.nbytes)
        other = fitted(codec, sample, sample // 2)
        with pytest.raises(FrameError, match="another calibration"):
            decoded(other, data, spec)

    def test_refuses_a_payload_of_another_shape(self, codec) -> None:
        sample = carried_by(codec)[-1]
        codec = ready(codec, sample)
        payload = codec.encode(sample)
        height, *rest = sample.shape
        for shape in [(height + 1, *rest), ((height + 1) // 2, *rest)]:
            with pytest.raises(FrameError):
                codec.decode(payload, TensorSpec("x", sample.dtype.name, shape))

    def test_refuses_an_empty_payload(self, codec) -> None:
        sample = carried_by(codec)[0]
        if not codec.calibrated:  # there, it may be the most likely sample of all
            with pytest.raises(FrameError):
                codec.decode(b"", spec_of(sample))

    def test_serves_several_threads_at_once(self, codec) -> None:
        sample = carried_by(codec)[-1]
        codec = ready(codec, sample)
        expected = codec.encode(sample)
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(codec.encode, [sample] * 40)) == {expected}

    def test_sample_of_no_dtype_that_crosses_is_an_input_error(self, codec) -> None:
        for sample in [np.zeros(3), np.zeros((0, 2), "float32"), np.zeros(2, ">f4")]:
            with pytest.raises(InputError):
                codecs.encode(codec, sample)


@pytest.mark.parametrize("codec", [codec for codec in ALL if codec.lossless], ids=str)
def test_lossless_codecs_keep_every_bit_of_floats(codec) -> None:
    special = np.array([0x7FC00001, 0x7F800001, 0xFFFFFFFF, 0x80000000, 0x7F800000, 1], "<u4")
    sample = special.view("float32").astype("float32", copy=False)
    spec = spec_of(sample)
    if codec.supports(spec):
        assert codec.decode(codec.encode(sample), spec).tobytes() == sample.tobytes()


@pytest.mark.parametrize("name", IMAGE_BOUNDS)
def test_lossy_image_codecs_stay_below_their_error(name) -> None:
    codec = codecs.get(name)
    for shape in [(96, 96, 3), (40, 64, 1), (33, 47)]:
        sample = smooth_image(shape)
        found = codec.decode(codec.encode(sample), spec_of(sample))
        difference = found.astype(float) - sample
        assert math.sqrt(np.mean(difference**2)) <= IMAGE_BOUNDS[name]


def test_every_lossy_image_codec_has_a_bound() -> None:
    image = TensorSpec("x", "uint8", (8, 8, 3))
    lossy = {codec.name for codec in codecs.supporting(image) if not codec.lossless}
    assert lossy == set(IMAGE_BOUNDS)


def test_decode_refuses_a_frame_of_another_tensor() -> None:
    sample = np.zeros((2, 3), "float32")
    data = codecs.encode(codecs.get("raw"), sample)
    for spec in [TensorSpec("x", "float32", (3, 2)), TensorSpec("x", "int32", (2, 3))]:
        with pytest.raises(FrameError, match="frame holds float32"):
            codecs.decode(data, spec, limit_bytes=LIMIT_BYTES)
    with pytest.raises(FrameError, match="over the limit"):
        codecs.decode(data, spec_of(sample), limit_bytes=23)


FIRST_SAMPLE = """
import sys
import numpy as np
from offramp import codecs
from offramp.boundary_codec import BundleCodecs
from offramp.bundle import BottleneckSpec, Boundary, ProgramSpec
from offramp.tensors import TensorSpec

samples = {"image": np.zeros((8, 8, 3), np.uint8), "feature": np.zeros((8, 8), np.float32)}
specs = {name: TensorSpec(name, array.dtype.name, array.shape) for name, array in samples.items()}
for name, spec in specs.items():
    levels = {codec.name: ({},) for codec in codecs.supporting(spec) if not codec.calibrated}
    known = BundleCodecs([Boundary(tensors=(spec,), levels=levels)], {})
    for level in levels:
        known.at(0, level).prepare()
before = set(sys.modules)
for array in samples.values():
    spec = TensorSpec("x", array.dtype.name, array.shape)
    for codec in codecs.supporting(spec):
        if codec.calibrated:
            continue
        codecs.decode(codecs.encode(codec, array), spec, limit_bytes=spec.nbytes)
print(sorted(set(sys.modules) - before))
"""


def test_codecs_that_are_prepared_load_nothing_at_the_first_sample() -> None:
    command = [sys.executable, "-c", FIRST_SAMPLE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
