"""A device whose thresholds follow: who goes on, what is learnt of whom, and what is said of it."""

import logging
import math

import numpy as np
import pytest

from device.adaptation import Adaptation, ThresholdsMoved
from device.agent import Agent
from device.controller import Controller
from device.deployment import Deployment, deploy
from device.fallback import leave_early
from device.head import Head, Progress
from device.settings import AgentSettings
from device.sources import Sample
from offramp import backends
from offramp.bundle import open_bundle
from offramp.embedded.cluttered_digits import load
from offramp.exits.policy import CLOSED, WATCHED
from offramp.guarantee import AdaptiveThresholds
from offramp.guarantee.calibrating import calibrate_bundle, recorded
from offramp.guarantee.certificate import Promise
from offramp.guarantee.wish import Wish
from partitioner import strategies
from partitioner.machine import this_machine
from partitioner.objective import Objective
from partitioner.plan import Plan
from tests.device.test_agent import lines_of, start
from tests.device.test_agent_alone import IMAGE, Model, Sink, Source, Wire, logits

SENDS = Plan(1, "raw", "confidence", (0.6,))
STAYS = Plan(2, None, "confidence", (0.6,))
SURE, UNSURE = np.float32(0.5), np.float32(0)
RIGHT, WRONG = np.array([0.0, 5.0]), np.array([5.0, 0.0])


class Always(AdaptiveThresholds):
    """Each sample that could leave is a sentinel, or none is; half of calibration's 100 agree.

    Keeps what it is shown.
    """

    def __init__(self, sentinels=True):
        dice = np.random.default_rng(0)
        agrees = np.arange(100)[None] % 2 > 0
        scores = np.where(agrees, dice.beta(8, 2, (1, 100)), dice.beta(3, 4, (1, 100)))
        super().__init__(scores, agrees, 0.5, dice)
        self.sentinels, self.shown = sentinels, []

    def is_sentinel(self):
        return self.sentinels

    def observe(self, scores, agrees, *, sentinel):
        self.shown.append((scores, agrees, sentinel))
        super().observe(scores, agrees, sentinel=sentinel)


def head_of(planner, rule):
    return Head([Model(planner.bundle)] * 3, planner.device, adaptation=Adaptation(rule))


def run(head, plan, level=SURE, until_s=math.inf):
    progress = Progress([np.full((1, 50, 50, 1), level, np.float32)])
    return progress, head.run(progress, plan, until_s, 1.0)


def test_a_sentinel_goes_on_although_its_exit_is_sure(planner):
    head = head_of(planner, Always())
    sent, reached = run(head, SENDS)
    assert (sent.sentinel, sent.left, reached.answered) == (0, None, False)
    assert sent.sent
    stayed, reached = run(head, STAYS)
    assert (stayed.sentinel, stayed.left, reached.answered) == (0, None, True)
    assert stayed.final is not None


def test_others_leave_and_what_is_unsure_is_no_sentinel(planner):
    left, reached = run(head_of(planner, Always(sentinels=False)), SENDS)
    assert (left.sentinel, left.left, reached.answered) == (None, 0, True)
    unsure, _ = run(head_of(planner, Always()), SENDS, UNSURE)
    assert (unsure.sentinel, unsure.left) == (None, None)


def test_a_sentinel_for_which_there_is_no_time_leaves_where_it_could_have(planner, monkeypatch):
    head = head_of(planner, Always())
    sent, _ = run(head, SENDS)
    head.fall_back(sent, -math.inf, 1.0)
    assert (sent.left, sent.final) == (0, None)
    sent, _ = run(head, SENDS)
    head.fall_back(sent, math.inf, 1.0)
    assert sent.left is None
    assert sent.final is not None
    ends = iter([math.inf, -math.inf])
    monkeypatch.setattr(
        "device.head.leave_early",
        lambda options, cut, *, now_s, deadline_s: leave_early(
            options, cut, now_s=now_s, deadline_s=next(ends)
        ),
    )
    stayed, reached = run(head, STAYS)
    assert (stayed.left, reached.answered, reached.hurried) == (0, True, False)


def test_a_plan_without_open_exits_teaches_nothing(planner):
    rule = Always()
    head = head_of(planner, rule)
    for plan in (Plan(0, "raw", "confidence", ()), Plan(2, None, "confidence", (CLOSED,))):
        progress, _ = run(head, plan)
        assert progress.sentinel is None
        head.learn(progress, RIGHT)
    run(head, SENDS)
    assert rule.shown == []


def test_what_is_learnt_is_whether_exits_agree_with_the_end_before_the_next_head(planner):
    rule = Always()
    head = head_of(planner, rule)
    first, _ = run(head, SENDS)
    second, _ = run(head, SENDS, UNSURE)
    head.learn(first, WRONG)
    head.learn(second, WRONG)
    head.learn(second, np.array([np.nan, 1.0]))
    assert rule.shown == []
    run(head, SENDS)
    assert rule.shown == [([first.scores[0]], [False], True), ([second.scores[0]], [True], False)]


def test_no_more_answers_wait_than_samples_may_be_in_flight():
    rule = Always()
    adaptation = Adaptation(rule)
    for _ in range(5000):
        adaptation.learn({0: 0.9}, {0: RIGHT[None]}, RIGHT, sentinel=False)
    adaptation.thresholds(STAYS)
    assert len(rule.shown) == 1024


def test_thresholds_that_moved_are_told_when_they_have_moved_by_a_hundredth():
    adaptation = Adaptation(Always())
    assert adaptation.moved(STAYS, (0.6,)) is None
    assert adaptation.moved(STAYS, (0.609,)) is None
    assert adaptation.moved(STAYS, (0.611,)) == ThresholdsMoved(STAYS.id, (0.611,))
    assert adaptation.moved(STAYS, (0.611,)) is None
    assert adaptation.moved(STAYS, (0.6,)) == ThresholdsMoved(STAYS.id, (0.6,))
    assert adaptation.moved(SENDS, (0.6,)) is None


@pytest.mark.timed
def test_an_agent_follows_what_the_server_answers_and_says_so(planner, monkeypatch):
    """The server never agrees with the exit, so that the exit lets fewer leave, and then none."""
    monkeypatch.setattr("device.remote.Remote", Wire)
    monkeypatch.setattr(Wire, "reply", staticmethod(lambda request: logits(request, 5.0, 0.0)))
    settings = AgentSettings(
        server="edge:1",
        slowdown=1,
        deadline_s=5.0,
        max_in_flight=1,
        hedge={"max_cpu_share": 0.0},
    )
    objective = Objective(max_accuracy_drop=0.1, deadline_s=5.0)
    controller = Controller(planner, objective, strategies.get("offramp"))
    monkeypatch.setattr(controller, "plan", lambda now_s: SENDS)
    rule, sink = Always(), Sink()
    agent = Agent(head_of(planner, rule), controller, settings, [sink])
    agent.run(Source([Sample((IMAGE,))] * 40))
    results, told = sink.of("result"), sink.of("thresholds")
    assert [(line["by"], line["answer"]) for line in results] == [("server", 0)] * 40
    assert results[0]["sentinel"] == "exit middle"
    assert [agrees for _, agrees, _ in rule.shown] == [[False]] * 39
    assert [sentinel for _, _, sentinel in rule.shown] == ["sentinel" in r for r in results[:39]]
    assert [line["plan"] for line in told] == [SENDS.id] * len(told)
    assert told[0]["thresholds"][0] > 0.61
    assert told[-1]["thresholds"] == (WATCHED,)
    assert "sentinel" not in results[-1]


@pytest.fixture(scope="module")
def safe(embedded, tmp_path_factory):
    """The embedded bundle with a guarantee."""
    out = tmp_path_factory.mktemp("safe") / "safe.offramp"
    recording = recorded(embedded, None, lambda line: None)
    calibrate_bundle(embedded, recording, Wish(Promise(0.03), "margin"), out)
    return open_bundle(out)


def profile_of(bundle, make_profile):
    manifest = bundle.manifest
    keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
    heads_s = np.arange(len(manifest.boundaries)) * 1e-4
    codecs_s = dict.fromkeys(keys, 1e-4)
    return make_profile(bundle.digest, heads_s, [1e-4] * 3, codecs_s, codecs_s)


def test_a_promise_is_void_when_thresholds_adapt_and_that_is_said(safe, make_profile, caplog):
    board = profile_of(safe, make_profile)
    stands = deploy(safe, board, board)
    assert stands.promise == {"max_accuracy_drop": 0.03, "confidence": 0.95, "void": False}
    assert caplog.records == []
    with caplog.at_level(logging.WARNING):
        void = deploy(safe, board, board, AgentSettings(adaptive_thresholds=True))
    assert void.promise == {**stands.promise, "void": True}
    (record,) = caplog.records
    assert f"make void what bundle {safe.digest[:12]} promises" in record.getMessage()


def test_where_nothing_is_promised_nothing_is_void(embedded, make_profile, caplog):
    board = profile_of(embedded, make_profile)
    adapts = deploy(embedded, board, board, AgentSettings(adaptive_thresholds=True))
    assert isinstance(adapts, Deployment)
    assert adapts.promise is None
    assert adapts.head.adapts
    assert caplog.records == []


@pytest.mark.e2e
def test_the_option_is_off_unless_asked_for(safe, make_profile, tmp_path):
    images, labels = load("test", 40)
    np.savez(tmp_path / "test.npz", inputs=images, labels=labels)
    board = profile_of(safe, make_profile)
    runner = board.main.model_copy(update={"version": backends.get("onnxruntime").version()})
    board = board.model_copy(update={"machine": this_machine(), "runners": (runner,)})
    (tmp_path / "here.json").write_text(board.model_dump_json())
    (tmp_path / "agent.yaml").write_text("sentinel_share: 0.5\n")
    options = ("--strategy", "device_exits", "--rate", 40, "--max-accuracy-drop", 0.05)
    options = (*options, "--settings", tmp_path / "agent.yaml")
    for asked in ((), ("--adaptive-thresholds",)):
        process = start(
            safe.folder, tmp_path / "test.npz", tmp_path / "here.json", *options, *asked
        )
        lines = lines_of(process)
        (opening,) = lines["run"]
        assert opening["adaptive_thresholds"] is opening["promise"]["void"] is bool(asked)
        assert len(lines["result"]) == 40
        assert any("sentinel" in line for line in lines["result"]) is bool(asked)
