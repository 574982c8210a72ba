"""An alarm rings at the time it was last set to, whatever it was set to before."""

from hypothesis import given
from hypothesis import strategies as st

from sim.world.alarm import Alarm
from sim.world.clock import Clock

SETTINGS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=12)


@given(SETTINGS)
def test_it_rings_at_the_time_last_set(settings):
    """Each is made at a time, for so long after it; what is still to come then is put off."""
    clock, rung = Clock(), []
    alarm = Alarm(clock, lambda: rung.append(clock.now_s))
    ordered = sorted(settings, key=lambda setting: setting[0])
    for at_s, after_s in ordered:
        clock.at(at_s, lambda after_s: alarm.set(clock.now_s + after_s), after_s)
    clock.run()
    due = [
        at_s + after_s
        for number, (at_s, after_s) in enumerate(ordered)
        if all(at_s + after_s < later for later, _ in ordered[number + 1 :])
    ]
    assert due == [time_s for time_s in rung if time_s in due]
    assert len(rung) <= len(ordered)
    assert rung == sorted(rung)
    if ordered:
        assert rung[-1] == due[-1]


def test_an_alarm_that_is_put_off_many_times_costs_few_events():
    clock, rung = Clock(), []
    alarm = Alarm(clock, lambda: rung.append(clock.now_s))
    made = 0

    def put_off(number):
        nonlocal made
        alarm.set(clock.now_s + 10)
        if number < 1000:
            clock.at((number + 1) * 0.01, put_off, number + 1)

    counted, clock.at = clock.at, lambda *details: (counted(*details), counting())[0]

    def counting():
        nonlocal made
        made += 1

    clock.at(0, put_off, 0)
    clock.run()
    assert rung == [20.0]
    assert made <= 1001 + 3
