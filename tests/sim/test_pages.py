"""The examples of the documentation are what they say they are."""

import gzip
import re
from itertools import islice

import pytest

from offramp.settings import Settings, load_settings
from sim.arrivals import ARRIVALS, AnyArrivalSettings, build_arrivals
from sim.description import read_link
from sim.link import CONDITIONS
from sim.model import build_link
from sim.traces import read_trace

YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
CSV = re.compile(r"^ *```\n( *seconds.*?)^ *```", re.MULTILINE | re.DOTALL)


class Scenario(Settings):
    arrivals: AnyArrivalSettings


def examples(repository, name, pattern=YAML):
    found = pattern.findall((repository / "docs" / name).read_text())
    assert found
    return found


def test_every_link_that_is_shown_delivers(repository, tmp_path):
    lines = b"".join(b"%d\n" % (at * at // 100) for at in range(2000))
    for name in ("lte.up.gz", "lte.down.gz"):
        (tmp_path / name).write_bytes(gzip.compress(lines, mtime=0))
    kinds = set()
    for text in examples(repository, "links.md"):
        (tmp_path / "link.yaml").write_text(text)
        described = read_link(tmp_path / "link.yaml")
        link = build_link(described)
        assert 0 < link.up.release_s(0.0, 1500) < 30
        assert 0 < link.down.release_s(0.0, 1500) < 30
        kinds |= {one.kind for one in described.up or ()}
        kinds |= {one.kind for phase in described.phases for one in phase.up}
    assert kinds == set(CONDITIONS) - {"noop"}


def test_the_csv_that_is_shown_is_a_trace(repository, tmp_path):
    (text,) = examples(repository, "links.md", CSV)
    (tmp_path / "trace.csv").write_text(text)
    assert read_trace(tmp_path / "trace.csv").period_s == 4


def test_all_arrivals_that_are_shown_arrive(repository, tmp_path):
    rows = "TIMESTAMP,Tokens\n2023-11-16 18:17:03.9799600,4\n2023-11-16 18:17:04.5,3\n"
    path = tmp_path / "AzureLLMInferenceTrace_code.csv.gz"
    path.write_bytes(gzip.compress(rows.encode(), mtime=0))
    kinds = set()
    for text in examples(repository, "arrivals.md"):
        (tmp_path / "scenario.yaml").write_text(text)
        settings = load_settings(Scenario, tmp_path / "scenario.yaml").arrivals
        *_, last_s = islice(build_arrivals(settings).times_s("seed"), 20_000)
        assert 20_000 / last_s == pytest.approx(settings.rate_hz, rel=0.05)
        kinds.add(settings.kind)
    assert kinds == set(ARRIVALS)


@pytest.mark.parametrize(("page", "members"), [("links.md", CONDITIONS), ("arrivals.md", ARRIVALS)])
def test_every_member_has_a_row_in_its_table(repository, page, members):
    text = (repository / "docs" / page).read_text()
    assert [kind for kind in members if f"| `{kind}` |" not in text] == []
