from offramp.demo.live import Narrator, Tail
from offramp.demo.schedule import build_schedule, to_line

RESULT = {"kind": "result", "arrived_s": 1.0, "latency_s": 0.02, "by": "server", "status": "ok"}


def test_a_tail_gives_each_complete_line_once(tmp_path):
    path = tmp_path / "run.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    path.write_text('{"a": 1}\n{"b"')
    assert tail.read() == [{"a": 1}]
    assert tail.read() == []
    with path.open("a") as stream:
        stream.write(': 2}\n{"c": 3}\n')
    assert tail.read() == [{"b": 2}, {"c": 3}]


def test_the_narrator_tells_phases_and_plans_in_their_order():
    plan = {"kind": "plan", "at_s": 6.5, "cut": 8, "level": None, "reason": "the link is poor"}
    narrator = Narrator()
    lines = [to_line(build_schedule(20.0), 0.0), RESULT, plan, {**RESULT, "arrived_s": 15.2}]
    assert [event for line in lines for event in narrator.tell(line)] == [
        "   0.0 s  link good: 40 Mbit/s, 1 ms each way",
        "   6.0 s  link poor: 800 kbit/s, 40 ms each way",
        "   6.5 s  plan: cut 8, sends nothing; the link is poor",
        "  12.0 s  link outage: nothing is delivered",
        "  15.0 s  link back: 40 Mbit/s, 1 ms each way",
    ]
    assert narrator.results == 2


def test_the_narrator_tells_that_the_connection_is_lost():
    narrator = Narrator()
    assert narrator.tell({"kind": "link", "at_s": 0.0, "up": True, "reason": ""}) == []
    assert narrator.tell({"kind": "link", "at_s": 2.0, "up": False, "reason": "reset"}) == [
        "   2.0 s  connection lost: reset"
    ]
    assert narrator.tell({"kind": "link", "at_s": -0.04, "up": False, "reason": "early"}) == [
        "   0.0 s  connection lost: early"
    ]


def test_the_status_sums_up_the_latest_samples():
    narrator = Narrator()
    assert narrator.status() == "starting"
    for latency_s in (0.01, 0.02, 0.03):
        narrator.tell({**RESULT, "latency_s": latency_s})
    narrator.tell({"kind": "result", "arrived_s": 2.0, "latency_s": 0.1, "status": "dropped"})
    assert narrator.status() == "p50 30 ms; no answer 25%, server 75%"
