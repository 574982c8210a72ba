"""The compiled coder against the specification, read literally and slowly."""

import itertools
from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.codecs import context_coder as coder
from offramp.codecs.context_model import ContextModel, Quantiser, fit_model

TOTAL = 1 << 15


def slow_decode(model, payload, shape):
    """Return codes, contexts, symbols and values of a payload as docs/wire-format.md has it."""
    places = itertools.product(*map(range, shape))
    following = itertools.chain(payload, itertools.repeat(0))
    word, span = int.from_bytes(itertools.islice(following, 4)), 2**32 - 1
    lowest, known = int(model.lowest), {}
    means = int(model.lookups[1].max()) + 1
    found = {name: np.zeros(shape, int) for name in ("code", "context", "symbol")}
    values = np.zeros(shape, "float32")

    def narrow(start, width):
        nonlocal word, span
        word, span = word - start, width
        while span < 2**24:
            word, span = word << 8 | next(following), span << 8

    def bit():
        half = span >> 1
        one = word >= half
        narrow(half * one, half)
        return int(one)

    for c, y, x in places:
        near = [(c, y, x - 1), (c, y - 1, x), (c, y - 1, x - 1), (c, y - 1, x + 1)]
        near += [(int(source), y, x) for source in model.sources[c]]
        codes = [known.get(place, 0) for place in near]
        sums = [int(model.bias[c, what]) for what in (0, 1)]
        for k, code in enumerate(codes):
            sums[0] += int(model.weights[c, 0, k]) * abs(code)
            sums[1] += int(model.weights[c, 1, k]) * code
        size = min(max(sums[0] // 16, 0), 1023)
        mean = min(max(sums[1] // 16 + 512, 0), 1023)
        context = int(model.lookups[0, size]) * means + int(model.lookups[1, mean])
        frequencies = model.cumulative[context].tolist()
        unit = span // TOTAL
        symbol = bisect_right(frequencies, word // unit) - 1
        assert symbol < len(frequencies) - 1
        narrow(frequencies[symbol] * unit, (frequencies[symbol + 1] - frequencies[symbol]) * unit)
        code = symbol + lowest
        highest = symbol == len(frequencies) - 2
        if highest or (symbol == 0 and lowest < 0):
            zeros = 0
            while not bit():
                zeros += 1
            excess = 1
            for _ in range(zeros):
                excess = 2 * excess + bit()
            code += excess - 1 if highest else 1 - excess
        known[c, y, x] = code
        for name, number in zip(found, (code, context, symbol), strict=True):
            found[name][c, y, x] = number
        centre = np.float64(code) + np.float64(model.shifts[context, symbol])
        values[c, y, x] = centre * np.float64(model.steps[c]) + np.float64(model.offsets[c])
    return *found.values(), values


def any_model(rng, channels, symbols, lowest):
    """Return a model of random arrays within the limits, with steps of 1 around 0."""
    bins = rng.integers(1, 6), 1 if lowest == 0 else rng.integers(1, 4)
    cuts = [
        np.sort(rng.choice(TOTAL - 1, symbols - 1, replace=False)) + 1
        for _ in range(bins[0] * bins[1])
    ]
    earlier = np.arange(channels)[:, None]
    sources = rng.integers(0, channels + 1, (channels, 2))
    return ContextModel(
        offsets=np.zeros(channels, "float32"),
        steps=np.ones(channels, "float32"),
        rounding=np.array(0.4, "float32"),
        lowest=np.array(lowest, "int32"),
        sources=np.where(sources < earlier, sources, channels).astype("int32"),
        weights=rng.integers(-300, 300, (channels, 2, 6)).astype("int32"),
        bias=rng.integers(-5_000, 5_000, (channels, 2)).astype("int32"),
        lookups=np.stack([rng.integers(0, most, 1024) for most in bins]).astype("int32"),
        cumulative=np.array([[0, *cut, TOTAL] for cut in cuts], "int32"),
        shifts=rng.uniform(-0.4, 0.4, (len(cuts), symbols)).astype("float32"),
    )


@st.composite
def models_and_codes(draw):
    shape = tuple(draw(st.integers(1, most)) for most in (4, 4, 5))
    symbols = draw(st.integers(1, 48))
    lowest = -draw(st.integers(0, symbols - 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = np.rint(rng.laplace(scale=draw(st.sampled_from([0.3, 2, 40])), size=shape))
    extremes = st.tuples(st.integers(0, codes.size - 1), st.integers(-32_768, 32_767))
    for place, code in draw(st.lists(extremes, max_size=4)):
        codes.flat[place] = code
    return any_model(rng, shape[0], symbols, lowest), codes.astype("float32")


@settings(max_examples=300, deadline=None)
@given(models_and_codes())
def test_whatever_is_encoded_is_decoded_by_both(drawn) -> None:
    model, values = drawn
    payload = model.encode(values)
    codes, contexts, symbols, slow = slow_decode(model, payload, values.shape)
    expected = np.clip(values, 0 if model.sparse else -32_000, 32_000)
    np.testing.assert_array_equal(codes, expected)
    found = model.decode(payload, values.shape)
    np.testing.assert_array_equal(found, slow)
    centroids = (expected + model.shifts[contexts, symbols].astype("float64")).astype("float32")
    np.testing.assert_array_equal(found, centroids)
    assert not payload.endswith(b"\0")
    assert len(payload) <= coder.room_bytes(values.size)


@settings(max_examples=150, deadline=None)
@given(models_and_codes(), st.binary(min_size=1, max_size=60))
def test_a_payload_of_any_bytes_is_a_sample_or_none(drawn, payload) -> None:
    model, values = drawn
    found = model.decode(payload, values.shape)
    if found is not None:
        assert np.abs(found).max() <= 32_001
        np.testing.assert_array_equal(found, slow_decode(model, payload, values.shape)[-1])


def contexts_in_numpy(model, codes):
    """Return the contexts of codes (N, C, H, W), all places at once."""
    height, width = codes.shape[2:]
    padded = np.pad(codes.astype(np.int64), ((0, 0), (0, 1), (1, 0), (1, 1)))
    own = padded[:, :-1]
    near = [own[:, :, 1:, :width], own[:, :, :height, 1:-1]]
    near += [own[:, :, :height, :width], own[:, :, :height, 2:]]
    near += [padded[:, model.sources[:, k], 1:, 1:-1] for k in (0, 1)]
    near = np.stack(near, -1)
    weights, bias = model.weights[:, :, None, None], model.bias[:, :, None, None]
    size = ((np.abs(near) * weights[:, 0]).sum(-1) + bias[:, 0]) >> 4
    mean = (((near * weights[:, 1]).sum(-1) + bias[:, 1]) >> 4) + 512
    bins = [model.lookups[k][np.clip(one, 0, 1023)] for k, one in enumerate((size, mean))]
    return bins[0] * model.sight.means + bins[1]


def correlated(seed, count, sparse):
    """Return smooth features (N, 8, 14, 14), two channels alike, some more active than others."""
    noise = np.random.default_rng(seed).normal(size=(count, 8, 20, 20))
    for axis in (2, 3):
        noise = sum(np.roll(noise, shift, axis) for shift in range(4))
    smooth = noise[:, :, 3:17, 3:17] / 4
    smooth[:, 5] = 0.8 * smooth[:, 2] + 0.2 * smooth[:, 5]
    smooth *= np.linspace(0.5, 2, 8)[:, None, None]
    return (np.maximum(smooth - 0.6, 0) if sparse else smooth).astype("float32")


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("step", [0.15, 0.6, 2])
def test_coded_size_is_near_the_cross_entropy_and_below_order_0(sparse, step) -> None:
    steps = np.full(8, step, "float32")
    quantiser = Quantiser(np.zeros(8, "float32"), steps, 0.4, sparse)
    model = fit_model(correlated(0, 120, sparse), quantiser)
    values = correlated(1, 24, sparse)
    codes = np.sign(values) * np.floor(np.abs(values) * (1 / steps)[:, None, None] + 0.4)
    codes = codes.astype(int)
    contexts = contexts_in_numpy(model, codes)
    last = model.cumulative.shape[1] - 2
    symbols = np.clip(codes - int(model.lowest), 0, last)
    bits = 15 - np.log2(np.diff(model.cumulative)[contexts, symbols])
    escaped = (symbols == last) | ((symbols == 0) & (not sparse))
    beyond = np.abs(codes - int(model.lowest) - symbols) + 1
    bits += escaped * (2 * np.floor(np.log2(beyond)) + 1)
    ideal = bits.sum(axis=(1, 2, 3)) / 8
    sizes = np.array([len(model.encode(one)) for one in values])
    assert (sizes <= 1.03 * ideal + 2).all()
    assert sizes.sum() >= ideal.sum() - len(sizes)  # or the entropy above is not the coder's
    shares = np.unique(codes, return_counts=True)[1] / codes.size
    order_0 = -(shares * np.log2(shares)).sum() * codes[0].size / 8
    assert sizes.mean() < 0.9 * order_0


@pytest.mark.parametrize("sparse", [True, False])
def test_compiled_contexts_are_those_of_numpy(sparse) -> None:
    values = correlated(2, 30, sparse)
    quantiser = Quantiser(np.zeros(8, "float32"), np.full(8, 0.3, "float32"), 0.4, sparse)
    model = fit_model(values, quantiser)
    codes, finite = coder.quantise(
        values[0], model.offsets, 1 / model.steps, model.rounding[()], sparse
    )
    assert finite
    whole = coder.plain(codes, values[0].shape)
    found = coder.contexts_of(codes, values[0].shape, model.sight)
    np.testing.assert_array_equal(found[None], contexts_in_numpy(model, whole[None]))
    assert len(np.unique(found)) > 8


def slow_contexts(codes, shape, sight):
    """Return contexts place by place, in whole numbers of any size."""
    _channels, height, width = shape
    planes = codes.reshape(-1, height + 1, width + 2).astype(object)
    found = np.empty(shape, np.int32)
    for c, y, x in np.ndindex(*shape):
        here = planes[sight.known + c]
        near = [here[y + 1, x], here[y, x + 1], here[y, x], here[y, x + 2]]
        near += [planes[int(source)][y + 1, x + 1] for source in sight.sources[c]]
        bins = []
        for what, middle in ((0, 0), (1, 512)):
            seen = [abs(code) for code in near] if what == 0 else near
            total = int(sight.bias[c, what])
            total += sum(int(w) * k for w, k in zip(sight.weights[c, what], seen, strict=True))
            bins.append(int(sight.lookups[what, min(max((total >> 4) + middle, 0), 1023)]))
        found[c, y, x] = sight.means * bins[0] + bins[1]
    return found


@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("largest", [3, 19_999, 20_001, 32_000])
def test_contexts_are_the_same_however_large_codes_are(known, largest) -> None:
    random = np.random.default_rng(largest)
    shape, planes = (3, 4, 5), known + 3
    plain = random.integers(-largest, largest + 1, (planes, 4, 5))
    plain[0, 0, 0] = -largest
    codes = np.pad(plain, ((0, 1), (1, 0), (1, 1))).astype(np.int16).ravel()
    sight = coder.Sight(
        np.array([[random.integers(known + c + 1), planes] for c in range(3)], np.int32)
        if known
        else np.array([[3, 3], [0, 3], [1, 0]], np.int32),
        random.integers(-(2**14), 2**14 + 1, (3, 2, 6)).astype(np.int32),
        random.integers(-(2**14), 2**14 + 1, (3, 2)).astype(np.int32),
        np.stack((random.integers(0, 24, 1024), random.integers(0, 7, 1024))).astype(np.int32),
        7,
        known,
    )
    np.testing.assert_array_equal(
        coder.contexts_of(codes, shape, sight), slow_contexts(codes, shape, sight)
    )
