"""The controller under virtual time, on the synthetic model of conftest.py."""

import pytest

from device.controller import Controller
from device.tuning import Tuning
from offramp.messages import Load, Timeline
from partitioner import strategies
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.objective import Objective
from partitioner.plan import Plan

SENT = Plan(1, "channel3", "confidence", ())
ALONE = ("offramp", "neurosurgeon", "edgent", "spinn", "ans", "device_only")
GOOD, POOR = (40e6, 0.004), (0.3e6, 0.120)


@pytest.fixture
def controller(planner):
    return make(planner, "offramp")


def make(planner, strategy, **tuning):
    objective = Objective(max_accuracy_drop=0.0, deadline_s=0.5)
    return Controller(planner, objective, strategies.get(strategy), Tuning(**tuning))


def exchange(controller, now_s, message, link, size_bytes=1000, plan=SENT, tail_s=0.001):
    """Send one message over a perfect link; return when its answer came."""
    bandwidth_bps, rtt_s = link
    controller.sent(now_s, message, size_bytes, plan)
    elapsed_s = rtt_s + 8 * (size_bytes + FRAME_OVERHEAD_BYTES) / bandwidth_bps + tail_s
    timeline = Timeline(segment_s=(tail_s,), total_s=tail_s)
    controller.answered(now_s + elapsed_s, message, timeline, Load())
    return now_s + elapsed_s


def settle(controller, now_s, link, rounds=10):
    for at in range(rounds):
        size = (0, 6000)[at % 2]
        now_s = exchange(controller, now_s + 0.05, 1000 + at, link, size, None)
    return now_s


def test_the_story_of_a_link_that_goes_and_comes_back(controller):
    story = []

    def note(now_s):
        story.append((controller.plan(now_s).cut, controller.conditions(now_s).reachable))

    now_s = settle(controller, 0.0, GOOD)
    note(now_s)
    now_s = settle(controller, now_s, POOR)
    note(now_s + 0.3)
    now_s += 0.5
    for message in (1, 2):
        controller.sent(now_s, message, 1000, SENT)
        controller.overdue(now_s + 0.2, message)
        controller.unanswered(now_s + 0.4)
    note(now_s + 0.41)
    padding = controller.probe_bytes(now_s + 1.0)
    assert padding == 0
    exchange(controller, now_s + 1.0, 3, GOOD, padding, None)
    now_s = settle(controller, now_s + 1.1, GOOD)
    note(now_s + 0.3)
    assert story == [(0, True), (2, True), (2, False), (0, True)]
    told = [(c.plan.cut, c.conditions.reachable) for c in controller.take_changes()]
    assert told == story  # that the same plan holds without a server is told, too
    assert controller.take_changes() == []


def test_a_lost_connection_turns_the_plan_at_once(controller):
    now_s = settle(controller, 0.0, GOOD)
    assert controller.plan(now_s).level is not None
    controller.disconnected(now_s + 0.001)
    plan = controller.plan(now_s + 0.002)
    assert (plan.cut, plan.level) == (2, None)
    assert "no reachable server" in controller.take_changes()[-1].explained().reason


def test_a_plan_is_kept_until_the_gain_is_beyond_doubt(planner):
    def cuts(switch_sigmas):
        controller = make(planner, "offramp", switch_sigmas=switch_sigmas, replan_s=0.0)
        now_s, seen = settle(controller, 0.0, (40e6, 0.004)), []
        for bandwidth_mbps in (40, 16, 14, 12, 10, 8, 6):
            now_s = settle(controller, now_s, (bandwidth_mbps * 1e6, 0.004), rounds=20)
            seen.append(controller.plan(now_s).cut)
        return seen

    eager, calm, stubborn = cuts(0.0), cuts(1.0), cuts(10.0)
    assert eager[0] == calm[0] == 0
    assert eager[-1] == calm[-1] == 1
    assert eager.index(1) < calm.index(1)
    assert set(stubborn) == {0}


def test_a_strategy_that_does_not_adapt_decides_once(planner):
    controller = make(planner, "fixed_split")
    now_s = settle(controller, 0.0, GOOD)
    first = controller.plan(now_s)
    controller.disconnected(now_s)
    assert controller.plan(now_s + 10) is first
    assert 0 < first.cut < 2


def test_beside_traffic_only_short_probes_go_out(controller):
    now_s = settle(controller, 0.0, GOOD)
    sent = []
    for step in range(20):
        now_s = exchange(controller, now_s + 0.1, step, GOOD)
        sent.append(controller.probe_bytes(now_s))
    assert {size for size in sent if size is not None} == {0}
    assert 3 <= sum(size is not None for size in sent) <= 5


def test_probes_alternate_in_size_so_that_bandwidth_and_round_trip_come_apart(controller):
    now_s = settle(controller, 0.0, GOOD)
    times = [now_s + step / 10 + 1e-6 for step in range(5, 25)]
    sizes = [size for t in times if (size := controller.probe_bytes(t)) is not None]
    assert len(sizes) == 4
    assert sizes[0::2] == [0, 0] or sizes[1::2] == [0, 0]
    longest = max(sizes)
    assert longest == pytest.approx(
        0.005 * controller.estimator.estimate(now_s).bandwidth_bps / 8, abs=1
    )
    settle(controller, 10.0, POOR, rounds=20)
    assert max(controller.probe_bytes(20.0 + step) for step in range(2)) == 1500


def test_an_answer_that_comes_after_an_outage_starts_a_quick_new_measurement(controller):
    now_s = settle(controller, 0.0, GOOD)
    before = controller.conditions(now_s)
    controller.sent(now_s, 1, 0)
    controller.answered(now_s + 3.0, 1, Timeline(), Load())
    assert controller.conditions(now_s).rtt_s < 2 * before.rtt_s  # it tells how the link was
    times = [now_s + 3.0 + step / 100 + 1e-6 for step in range(60)]
    sent = [round(t - now_s - 3, 2) for t in times if controller.probe_bytes(t) is not None]
    assert len(sent) == 4
    assert sent[0] == 0.0
    assert sent[-1] < 0.2


def test_a_busy_server_stretches_its_profile(controller):
    now_s = 0.0
    for message in range(30):
        now_s = exchange(controller, now_s + 0.05, message, GOOD, tail_s=0.003)
    assert controller.conditions(now_s).server_stretch == pytest.approx(3.0, rel=0.02)


def test_a_link_that_recovers_is_found_out_within_a_second_of_probes(controller):
    now_s = settle(controller, 0.0, POOR)
    assert controller.plan(now_s + 0.3).level is None
    found_s, step, message = None, now_s + 0.5, 100
    while found_s is None and step < now_s + 3:
        padding = controller.probe_bytes(step)
        if padding is not None:
            message += 1
            exchange(controller, step, message, GOOD, padding, None)
        if controller.plan(step).level is not None:
            found_s = step
        step += 0.01
    assert found_s is not None
    assert found_s - now_s - 0.5 < 1.0


def test_while_an_answer_is_overdue_nothing_more_is_sent(controller):
    now_s = settle(controller, 0.0, GOOD)
    assert controller.plan(now_s).level is not None
    controller.sent(now_s, 1, 1000, SENT)
    controller.overdue(now_s + 0.05, 1)
    assert controller.plan(now_s + 0.05).level is None
    assert controller.probe_bytes(now_s + 4.9) is None  # the answer itself will tell
    assert controller.probe_bytes(now_s + 5.1) == 0
    controller.answered(now_s + 0.2, 1, Timeline(), Load())
    assert controller.conditions(now_s).reachable
    assert controller.conditions(now_s).rtt_s > 0.05


def test_a_refusal_counts_as_a_failure(controller):
    settle(controller, 0.0, GOOD)
    for message in (1, 2):
        controller.sent(2.0, message, 1000, SENT)
        controller.refused(2.01, message)
    assert not controller.conditions(2.01).reachable


def test_a_server_without_the_bundle_is_asked_again_only_after_a_new_connection(controller):
    now_s = settle(controller, 0.0, GOOD)
    controller.sent(now_s, 1, 1000, SENT)
    controller.refused(now_s + 0.01, 1, for_good=True)
    now_s = settle(controller, now_s, GOOD)
    assert controller.plan(now_s).level is None
    controller.disconnected(now_s)
    now_s = settle(controller, now_s, GOOD)
    assert controller.plan(now_s + 1).level is not None


def test_one_message_that_is_missing_does_not_widen_what_is_believed_as_two_do(planner):
    def doubt(*overdue):
        controller = make(planner, "offramp")
        now_s = settle(controller, 0.0, GOOD)
        for message in (1, 2):
            controller.sent(now_s, message, 1000, SENT)
        for message in overdue:
            controller.overdue(now_s + 0.05, message)
            controller.unanswered(now_s + 0.4)
        return controller.estimator.estimate(now_s + 0.4)

    none, one, two = doubt(), doubt(1), doubt(1, 2)
    assert none.rtt_s < one.rtt_s < 2 * GOOD[1]
    assert two.rtt_s > 2 * one.rtt_s
    assert two.rtt_sigma_s > one.rtt_sigma_s


@pytest.mark.parametrize("name", ALONE)
def test_with_no_room_on_the_way_a_strategy_does_what_it_does_alone(planner, name):
    controller = make(planner, name)
    now_s = settle(controller, 0.0, GOOD)
    alone = controller.local_plan(now_s)
    allowed = controller.strategy.among(planner)
    assert alone.level is None
    assert allowed.predict(alone, controller.objective, controller.conditions(now_s))
    controller.disconnected(now_s)
    assert controller.plan(now_s) == alone


@pytest.mark.parametrize("name", ["fixed_split", "server_only"])
def test_with_no_room_on_the_way_one_that_always_sends_does_what_is_best_alone(planner, name):
    controller = make(planner, name)
    now_s = settle(controller, 0.0, GOOD)
    assert controller.plan(now_s).level is not None
    assert controller.local_plan(now_s) == make(planner, "offramp").local_plan(0.0)


class Loader:
    """What is ``there`` can be sent by; what is ``wanted`` besides is being loaded."""

    def __init__(self, *there):
        self.there, self.wanted = set(there), []

    def __call__(self, plan):
        if plan.cut not in self.there:
            self.wanted.append(plan.cut)
        return plan.cut in self.there


def test_the_device_answers_alone_until_what_the_first_plan_needs_is_loaded(controller):
    loader = Loader()
    controller.ready = loader
    now_s = settle(controller, 0.0, GOOD)
    assert controller.plan(now_s).level is None
    assert controller.plan(now_s + 0.3).level is None
    assert loader.wanted[:2] == [0, 1]
    (change,) = controller.take_changes()
    assert "stands in while what sending by raw needs is not loaded" in change.explained().reason
    assert controller.next_probe_s(now_s + 0.3) - now_s < 4 * 0.5 + 0.3  # as beside traffic
    loader.there.add(0)
    assert controller.plan(now_s + 0.6).cut == 0
    (change,) = controller.take_changes()
    assert "stands in" not in change.explained().reason


def test_what_cannot_be_loaded_does_not_keep_the_device_from_sending_otherwise(controller):
    """Whole images are best; features are nearly as good, and there."""
    controller.ready = Loader(1)
    now_s = settle(controller, 0.0, GOOD)
    assert [controller.plan(now_s + at).cut for at in (0.0, 0.3, 400.0)] == [1, 1, 1]
    (change,) = controller.take_changes()
    assert "stands in while what sending by raw needs is not loaded" in change.explained().reason


@pytest.mark.parametrize(("now_bps", "meanwhile"), [(10e6, 0), (3e6, 2)])
def test_what_was_in_force_stands_in_unless_the_device_alone_is_better(planner, now_bps, meanwhile):
    """An image takes 8 and 27 ms, a feature a tenth of that, the whole model here 20."""
    controller, loader = make(planner, "offramp", switch_sigmas=0.0), Loader(0)
    controller.ready = loader
    now_s = settle(controller, 0.0, GOOD)
    assert controller.plan(now_s).cut == 0
    now_s = settle(controller, now_s, (now_bps, 0.004), rounds=30)
    assert controller.plan(now_s).cut == meanwhile
    assert controller.plan(now_s + 0.3).cut == meanwhile
    loader.there.add(1)
    assert controller.plan(now_s + 0.6).cut == 1
    assert set(loader.wanted) == {1}


def test_a_strategy_that_decides_once_does_not_wait(planner):
    controller = make(planner, "fixed_split")
    controller.ready = Loader()
    assert controller.plan(settle(controller, 0.0, GOOD)).level is not None


def test_another_bundle_has_what_is_loaded_of_its_own(controller, successor):
    controller.ready = Loader(0)
    now_s = settle(controller, 0.0, GOOD)
    assert controller.plan(now_s).cut == 0
    controller.renew(successor, Loader())
    assert controller.plan(now_s + 0.1).level is None


def test_late_and_unknown_answers_do_no_harm(controller):
    now_s = settle(controller, 0.0, GOOD)
    controller.sent(now_s, 7, 1000, SENT)
    controller.overdue(now_s + 0.1, 7)
    controller.unanswered(now_s + 0.2)
    controller.answered(now_s + 0.4, 7, Timeline(), Load())
    controller.answered(now_s + 0.5, 7, Timeline(), Load())
    controller.answered(now_s + 0.5, 999, Timeline(), Load())
    assert controller.conditions(now_s).rtt_s > GOOD[1]


def test_the_time_allowed_for_an_answer_covers_what_the_link_takes(controller):
    settle(controller, 0.0, GOOD)
    needed_s = GOOD[1] + 8 * 1110 / GOOD[0] + 0.001
    assert needed_s < controller.expect(1.0, 1000, 1).latest_s < 10 * needed_s


def test_a_silent_link_is_expected_to_stay_silent_for_as_long_again(controller):
    now_s = settle(controller, 0.0, GOOD)
    controller.sent(now_s, 1, 1000, SENT)
    usual_s = controller.conditions(now_s).queue_s
    assert controller.conditions(now_s + 0.001).queue_s == usual_s
    silent = [controller.conditions(now_s + wait_s).queue_s - usual_s for wait_s in (0.1, 0.2, 0.3)]
    assert silent == pytest.approx([silent[0], silent[0] + 0.1, silent[0] + 0.2])
    assert 0.08 < silent[0] < 0.1
    controller.sent(now_s + 0.3, 2, 1000, SENT)
    controller.answered(now_s + 0.4, 2, Timeline(), Load())
    assert controller.conditions(now_s + 0.4).queue_s < silent[0]


def test_what_was_withdrawn_is_not_waited_for(controller):
    now_s = settle(controller, 0.0, GOOD)
    before = controller.estimator.sent(now_s, 0)
    controller.sent(now_s, 1, 100_000, SENT)
    controller.withdrawn(1)
    controller.withdrawn(1)
    assert controller.conditions(now_s + 9.0).queue_s == controller.queue_s
    assert controller.estimator.sent(now_s, 0) == pytest.approx(before)


def test_plans_know_how_far_the_link_is_in_doubt_the_further_the_longer_ago(controller):
    now_s = settle(controller, 0.0, GOOD)
    link, now = controller.estimator.estimate(now_s), controller.conditions(now_s)
    assert (now.bandwidth_bps, now.rtt_s) == (link.bandwidth_bps, link.rtt_s)
    assert (now.s_per_bit_sigma, now.rtt_sigma_s) == (link.s_per_bit_sigma, link.rtt_sigma_s)
    later = controller.conditions(now_s + 5.0)
    assert later.bandwidth_bps == now.bandwidth_bps
    assert later.s_per_bit_sigma > now.s_per_bit_sigma
    assert later.rtt_sigma_s > now.rtt_sigma_s


def test_a_device_that_computes_on_counts_what_was_in_vain(controller):
    now_s = settle(controller, 0.0, GOOD)
    controller.hedged = True
    assert controller.conditions(now_s).vain_share == 0.0
    controller.sent(now_s, 1, 1000, SENT)
    controller.outrun(now_s + 0.1, 1)
    controller.answered(now_s + 0.2, 1, Timeline(), Load())
    assert 0 < controller.conditions(now_s + 0.2).vain_share < 1
    controller.hedged = False
    assert controller.conditions(now_s + 0.2).vain_share == 0.0


def test_a_controller_that_has_heard_nothing_for_long_sends_nothing_and_says_so(controller):
    controller.hedged = True
    now_s = settle(controller, 0.0, GOOD)
    assert controller.plan(now_s).level is not None
    controller.sent(now_s, 1, 1000, SENT)
    assert controller.plan(now_s + 1.0).level is None  # silence is expected to last
    assert controller.conditions(now_s + 1.0).reachable
    assert controller.plan(now_s + 6.0).level is None
    last = controller.take_changes()[-1]
    assert last.at_s == now_s + 6.0
    assert "no reachable server" in last.explained().reason
    assert controller.plan(now_s + 7.0).level is None
    assert controller.take_changes() == []
    controller.answered(now_s + 7.1, 1, Timeline(), Load())
    now_s = settle(controller, now_s + 7.1, GOOD)
    assert controller.plan(now_s).level is not None


def test_a_device_that_will_never_send_does_not_probe(planner):
    controller = make(planner, "device_only")
    now_s = settle(controller, 0.0, GOOD)
    assert controller.probe_bytes(now_s + 1.0) is not None
    controller.plan(now_s + 1.0)
    assert controller.probe_bytes(now_s + 9.0) is None
    controller.disconnected(now_s + 10.0)
    assert controller.probe_bytes(now_s + 19.0) is None


@pytest.mark.parametrize("hedged", [False, True])
def test_a_server_that_was_slow_is_tried_again(controller, hedged):
    controller.hedged = hedged
    now_s = settle(controller, 0.0, GOOD)
    for message in range(20):
        now_s = exchange(controller, now_s, message, GOOD, tail_s=0.02)
    assert controller.conditions(now_s).server_stretch > 10
    assert controller.plan(now_s).level is None
    now_s = settle(controller, now_s, GOOD)
    assert controller.conditions(now_s + 60).server_stretch < 1.1
    assert controller.plan(settle(controller, now_s + 60, GOOD)).level is not None


def test_a_load_of_the_device_is_followed_and_forgotten(planner):
    controller = make(planner, "offramp")
    for at in range(30):
        controller.computed(at, 0.03, 0.01)
    assert controller.conditions(30.0).device_stretch == pytest.approx(3.0, rel=0.1)
    assert controller.conditions(30.0 + 600).device_stretch < 1.1


def test_probes_are_rare_beside_traffic_and_where_no_link_would_be_used(planner):
    def gap_s(**wishes):
        objective = Objective(max_accuracy_drop=0.0, deadline_s=0.5, **wishes)
        controller = Controller(planner, objective, strategies.get("offramp"))
        now_s = settle(controller, 0.0, GOOD)
        controller.plan(now_s)
        assert controller.probe_bytes(now_s) is not None
        return controller.next_probe_s(now_s) - now_s

    assert gap_s() == pytest.approx(2.0)
    assert gap_s(minimise="uplink") == pytest.approx(8.0)
    controller = make(planner, "offramp")
    now_s = settle(controller, 0.0, POOR, rounds=60)
    assert controller.plan(now_s).level is None
    probed_s = []
    for at in range(300):
        if controller.probe_bytes(now_s + at * 0.01) is not None:
            probed_s.append(at * 0.01)
    assert probed_s[-1] - probed_s[-2] == pytest.approx(0.5, abs=0.011)


class Hasty(strategies.Strategy):
    """Sends and does not in turn, though one of them is worse."""

    name, rule, adapts = "hasty", "turns", True
    sends = False

    def decide(self, planner, objective, conditions):
        self.sends = not self.sends
        return planner.only(str(self.sends), lambda c: c.sends == self.sends).best(
            objective, conditions
        )


@pytest.mark.parametrize("steady", [True, False])
def test_what_a_strategy_that_is_not_steady_decides_holds(planner, monkeypatch, steady):
    monkeypatch.setattr(Hasty, "steady", steady)
    controller = Controller(planner, Objective(max_accuracy_drop=0.0, deadline_s=0.5), Hasty())
    now_s = settle(controller, 0.0, GOOD)
    plans = [controller.plan(now_s + at).level is not None for at in range(6)]
    assert plans == ([True] * 6 if steady else [True, False] * 3)
