"""What holds of every link condition, whatever it does."""

import inspect
import pkgutil
from importlib import import_module
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import sim.link
from sim.link import CONDITIONS, Condition, Course
from sim.link.rate import Rate
from sim.phases import ALWAYS, Phases

SETTINGS = {
    "delay": [{"seconds": 0.02}, {"seconds": 0}],
    "handover": [
        {"seconds": 0.1, "interval_s": 0.5},
        {"seconds": 0.1, "interval_s": 1, "regular": True, "extra_s": 0.3, "decay_s": 0.2},
    ],
    "jitter": [{"seconds": 0.01}, {"seconds": 0.01, "distribution": "uniform"}],
    "loss": [{"share": 0.2, "rtt_s": 0.05}, {"share": 0.5, "rtt_s": 0, "timeout_s": 0.01}],
    "noop": [{}],
    "outage": [{"windows_s": [[0.5, 1], [1, 1.25]]}, {"windows_s": [[0, 1]], "reset": True}],
    "rate": [
        {"bps": 1e5},
        {"markov": {}},
        {"markov": {"mean_bps": 1e5, "cov": 0.5, "lag1": 0.7}},
        {"gilbert_elliott": {"mean_bps": 1e5, "bad_share": 0.2, "bad_s": 0.3}},
        {"markov": {"states": [{"bps": 8e4, "dwell_s": 0.2}, {"bps": 0, "dwell_s": 0.1}]}},
    ],
}
CASES = [(kind, settings) for kind, each in SETTINGS.items() for settings in each]
PHASED = Phases([1.5, 2.0], repeats=True)

each_condition = pytest.mark.parametrize(("kind", "settings"), CASES)
entries = st.lists(
    st.tuples(st.floats(0, 0.5), st.integers(0, 20_000)), min_size=1, max_size=30
).map(lambda steps: list(_times(steps)))


def _times(steps):
    now_s = 0.0
    for step_s, nbytes in steps:
        now_s += step_s
        yield now_s, nbytes


def build(kind, settings, *, phases=ALWAYS, seed="seed"):
    cls = CONDITIONS[kind]
    chosen = cls.Settings.model_validate({"kind": kind, **settings})
    absent = (None,) * (len(phases) - 1)
    return cls(Course(phases, (chosen, *absent), ((),) * len(phases)), seed)


def test_every_condition_is_registered_and_tested():
    found = {
        member
        for module in pkgutil.iter_modules(sim.link.__path__, "sim.link.")
        for _, member in inspect.getmembers(import_module(module.name), inspect.isclass)
        if issubclass(member, Condition) and not inspect.isabstract(member)
    }
    assert found == set(CONDITIONS.values())
    assert set(SETTINGS) == set(CONDITIONS)


def test_a_condition_is_registered_under_its_kind():
    for kind, cls in CONDITIONS.items():
        assert cls.Settings.model_fields["kind"].default == kind


@each_condition
@pytest.mark.parametrize("phases", [ALWAYS, PHASED], ids=["always", "phased"])
@examples(max_examples=10, deadline=None)
@given(entries=entries)
def test_first_in_first_out_and_never_before_entering(kind, settings, phases, entries):
    model = build(kind, settings, phases=phases)
    released = [model.release_s(*entry) for entry in entries]
    assert all(left >= now_s for left, (now_s, _) in zip(released, entries, strict=True))
    assert all(one <= other for one, other in pairwise(released))


@each_condition
@examples(max_examples=10, deadline=None)
@given(entries=entries)
def test_the_same_seed_and_calls_give_the_same_answers(kind, settings, entries):
    one, other = build(kind, settings), build(kind, settings)
    assert [one.release_s(*e) for e in entries] == [other.release_s(*e) for e in entries]


trains = st.lists(
    st.tuples(
        st.floats(0, 1) | st.just(0.0),
        st.lists(st.tuples(st.floats(0, 0.02) | st.just(0.0), st.integers(1, 1500)), min_size=1),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@each_condition
@pytest.mark.parametrize("phases", [ALWAYS, PHASED], ids=["always", "phased"])
@examples(max_examples=15, deadline=None)
@given(trains=trains)
def test_a_train_of_packets_leaves_as_its_packets_one_after_the_other(
    kind, settings, phases, trains
):
    """To the last bit, whatever went before, and though what is in it is dropped in between."""
    together, alone, now_s = (*(build(kind, settings, phases=phases) for _ in range(2)), 0.0)
    for wait_s, packets, dropped in trains:
        times = list(_times([(now_s + wait_s, packets[0][1]), *packets[1:]]))
        times_s, sizes = [time_s for time_s, _ in times], [nbytes for _, nbytes in times]
        now_s = times_s[-1]
        expected = [alone.release_s(*entry) for entry in times]
        assert list(together.release_train(times_s, sizes)) == expected
        if dropped:
            together.forget(now_s)
            alone.forget(now_s)


@each_condition
def test_of_a_train_whose_end_never_enters_the_rest_may_leave(kind, settings):
    together, alone = build(kind, settings), build(kind, settings)
    times_s, sizes = [0.1, 0.2, inf, inf], [1500, 1500, 1500, 1]
    expected = [alone.release_s(*entry) for entry in zip(times_s, sizes, strict=True)]
    assert list(together.release_train(times_s, sizes)) == expected
    assert expected[1] < inf == expected[2]


@each_condition
def test_what_enters_after_never_stays(kind, settings):
    model = build(kind, settings)
    assert model.release_s(inf, 1) == inf


@each_condition
def test_a_busy_condition_delivers_what_entered_or_the_integral_of_its_rate(kind, settings):
    model, packets = build(kind, settings), 2000
    last_s = max(model.release_s(0.0, 1500) for _ in range(packets))
    if isinstance(model, Rate):
        served = model.served.served_bytes(0.0, last_s)
        assert served == pytest.approx(packets * 1500, rel=1e-6)
    else:
        assert last_s < inf


@each_condition
@pytest.mark.parametrize("phases", [ALWAYS, PHASED], ids=["always", "phased"])
@examples(max_examples=15, deadline=None)
@given(entries=entries, asked=st.lists(st.tuples(st.floats(0, 20), st.integers(0, 50_000))))
def test_what_is_to_be_expected_may_be_asked_at_any_time(kind, settings, phases, entries, asked):
    """Asking changes nothing, the answers hang on nothing that was asked before, and nothing is
    expected to pass what is ahead of it."""
    model, other = (build(kind, settings, phases=phases) for _ in range(2))
    for entry in entries:
        later = [(entry[0] + after_s, nbytes) for after_s, nbytes in asked]
        once = [model.expect_s(*one) for one in later]
        assert [model.expect_s(*one) for one in reversed(later)] == once[::-1]
        left_s = model.release_s(*entry)
        assert left_s == other.release_s(*entry)
        assert model.expect_s(*entry) >= left_s
    assert model.expect_s(inf, 1) == inf
