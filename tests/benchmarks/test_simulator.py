"""The simulator's benchmark: what one run says, and what all of them sum up to."""

from __future__ import annotations

import pytest

from benchmarks.simulator import Size, _last_line, simulate


@pytest.mark.parametrize(("link", "sent_share"), [("lte", 0.0), ("wifi", 1.0)])
def test_a_run_in_a_process_of_its_own(link: str, sent_share: float) -> None:
    figures = simulate(Size(link, 3, 4))
    assert figures["requests"] == 12
    assert figures["sent_share"] == pytest.approx(sent_share, abs=0.35)
    assert figures["events"] > 24
    assert 20 < figures["peak_mb"] < 1000
    assert figures["processor_s"] > 0


def test_the_last_line_says_what_memory_grows_by() -> None:
    def run(link: str, devices: int, requests: int, peak_mb: float) -> dict[str, object]:
        seconds = devices * requests / 1e4
        return {
            "link": link,
            "devices": devices,
            "requests": devices * requests,
            "processor_s": seconds,
            "peak_mb": peak_mb,
        }

    runs = [run("lte", 10, 1, 100.0), run("lte", 10, 100, 101.0), run("wifi", 10, 100, 99.0)]
    line = _last_line([*runs, run("lte", 60, 2, 103.0)])
    assert line == (
        "1,000 requests of 10 devices on lte in 0.1 s; 1,000 requests of 10 devices on wifi in "
        "0.1 s; memory 100 MB for 10 requests, 101 for 1,000; 60 devices take 40 kB each "
        "(required: a million of 1,000 devices within 180 s)"
    )
