from hypothesis import given
from hypothesis import strategies as st

from device.fallback import Option, choose_option, give_up_s, leave_early

WHOLE, DEEP, KNOWN = Option(None, 8, 0.040), Option(1, 5, 0.015), Option(0, 3, 0.0)


def test_with_time_to_spare_the_whole_model_is_kept_possible():
    latest = give_up_s([WHOLE, DEEP, KNOWN], deadline_s=0.150, expected_s=0.060, reserve_s=0.01)
    assert round(latest, 9) == 0.100


def test_a_slow_link_is_waited_for_at_the_cost_of_a_shallower_fallback():
    options = [WHOLE, DEEP, KNOWN]
    at = [
        round(give_up_s(options, deadline_s=0.150, expected_s=e, reserve_s=0.01), 9)
        for e in (0.099, 0.110, 0.130, 0.139, 0.500)
    ]
    assert at == [0.100, 0.125, 0.140, 0.140, 0.140]


def test_the_best_option_in_time_is_chosen_else_the_quickest():
    options = [WHOLE, DEEP, KNOWN]
    assert choose_option(options, now_s=0.10, deadline_s=0.15) is WHOLE
    assert choose_option(options, now_s=0.12, deadline_s=0.15) is DEEP
    assert choose_option(options, now_s=0.14, deadline_s=0.15) is KNOWN
    assert choose_option([WHOLE, DEEP], now_s=0.20, deadline_s=0.15) is DEEP


def test_a_head_goes_on_for_as_long_as_there_is_time_for_all_of_it():
    options = [WHOLE, DEEP, KNOWN]
    left = [leave_early(options, 8, now_s=now_s, deadline_s=0.15) for now_s in (0.1, 0.12, 0.14)]
    assert left == [None, DEEP, KNOWN]
    assert leave_early(options, 5, now_s=0.12, deadline_s=0.15) is None


@given(
    st.lists(st.floats(0, 0.2), min_size=1, max_size=6),
    st.floats(0.05, 0.5),
    st.floats(0, 0.6),
    st.floats(0, 0.02),
)
def test_giving_up_when_told_still_meets_the_deadline(times, deadline_s, expected_s, reserve_s):
    options = [Option(None, 1, time_s) for time_s in sorted(times, reverse=True)]
    latest = give_up_s(options, deadline_s=deadline_s, expected_s=expected_s, reserve_s=reserve_s)
    chosen = choose_option(options, now_s=latest, deadline_s=deadline_s + 1e-12)
    assert latest + chosen.time_s <= deadline_s + 1e-9
    assert latest <= deadline_s - reserve_s
