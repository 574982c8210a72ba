"""What `offramp top` shows of servers and devices, from metrics as they show them."""

import io

import pytest
from rich.console import Console

from offramp.sheet import show
from offramp.top.view import Endpoint, view

SERVER = """
offramp_server_requests_total{{cut="0",exit="end",model="digits",outcome="OK"}} {ok}
offramp_server_requests_total{{cut="2",exit="none",model="digits",outcome="INTERNAL"}} {late}
offramp_server_refusals_total{{reason="queue_full"}} {late}
offramp_server_batch_samples_sum{{model="digits",segment="1"}} {ok}
offramp_server_batch_samples_count{{model="digits",segment="1"}} {half}
offramp_server_total_seconds_bucket{{le="0.01",model="digits"}} {half}
offramp_server_total_seconds_bucket{{le="0.02",model="digits"}} {ok}
offramp_server_total_seconds_bucket{{le="+Inf",model="digits"}} {ok}
offramp_server_waiting_samples 3
offramp_server_running_samples 1
offramp_server_streams 1
offramp_server_bundles 2
offramp_server_wait_seconds 0.004
offramp_server_price_seconds 0.0125
offramp_server_cpu_share 0.42
process_resident_memory_bytes 2.5e8
"""
DEVICE = """
offramp_device_samples_total{{cut="2",exit="end",outcome="ok",place="server"}} {served}
offramp_device_samples_total{{cut="2",exit="stage1",outcome="ok",place="device"}} {kept}
offramp_device_samples_total{{cut="2",exit="none",outcome="dropped",place="none"}} {kept}
offramp_device_unplanned_samples_total{{outcome="dropped",reason="inbox_full"}} {kept}
offramp_device_late_samples_total {kept}
offramp_device_plan_changes_total{{reason="bandwidth"}} 2
offramp_device_plan{{cut="2",level="affine4"}} 1
offramp_device_connected {connected}
offramp_device_breaker_open {broken}
offramp_device_bandwidth_bits_per_second 1e7
offramp_device_bit_sigma_seconds 1e-7
offramp_device_rtt_seconds 0.02
offramp_device_rtt_sigma_seconds 0.002
"""


def drawn(*endpoints, width=80):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    for part in view(endpoints):
        show(part, console)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip(" ─")]


def shown(*texts, url="http://edge:9464/metrics"):
    endpoint = Endpoint(url)
    for at, text in enumerate(texts):
        endpoint.showed(text, 2.0 * at)
    return endpoint


def test_a_server():
    texts = (SERVER.format(ok=ok, half=ok / 2, late=late) for ok, late in ((100, 0), (200, 10)))
    assert drawn(shown(*texts)) == [
        "server edge:9464",
        "55 samples/s   1 stream   2 bundles   cpu 42%   250 MB resident",
        "queue 3   running 1   a batch 2 samples   wait 4 ms   price 12.5 ms",
        "turned away: queue_full 100%",
        " model, cut  samples/s  share  answered",
        " digits, 0          50    91%      100%",
        " digits, 2           5     9%        0%",
        " time     p50    p95",
        " total  10 ms  19 ms",
    ]


def test_a_device():
    state = {"connected": 1, "broken": 0}
    texts = (DEVICE.format(served=3 * n, kept=n, **state) for n in (10, 30))
    assert drawn(shown(*texts, url="http://board:9465/metrics")) == [
        "device board:9465",
        "50 samples/s   10 late/s",
        "plan: cut 2, sends affine4   0 plans/s",
        "connected: 10 Mbit/s, if cautious 5 Mbit/s; round trip 20 ms ± 2 ms",
        "answered by: server 60%, exit stage1 (device) 20%, nobody 20%",
        "at cut: 2 100%",
        "not as planned: 20% (dropped: inbox_full 100%)",
    ]


@pytest.mark.parametrize(
    ("connected", "broken", "said"),
    [(0, 0, "not connected"), (1, 1, "connected, but the server is left alone after failures")],
)
def test_a_device_without_its_server(connected, broken, said):
    assert said in drawn(shown(DEVICE.format(served=1, kept=1, connected=connected, broken=broken)))


def test_a_device_that_has_just_begun():
    assert drawn(shown("offramp_device_connected 0\n"))[1:] == ["no plan yet", "not connected"]


def test_what_is_gone_or_something_else_is_told_beside_the_others():
    gone = Endpoint("http://a:1/metrics")
    gone.showed(SERVER.format(ok=1, half=1, late=1), 0.0)
    gone.failed("http://a:1/metrics does not answer: Connection refused")
    other, damaged = shown("up 1\n"), shown("<html>")
    assert drawn(gone, other, damaged) == [
        "gone a:1",
        "http://a:1/metrics does not answer: Connection refused",
        "unknown edge:9464",
        "it shows metrics, but none of Offramp's",
        "gone edge:9464",
        "what is shown there are no metrics",
    ]


def test_names_from_there_are_no_orders_to_the_terminal():
    text = SERVER.replace("digits", "\x1b[2J").format(ok=1, half=1, late=1)
    assert not any("\x1b[2J" in line for line in drawn(shown(text)))
