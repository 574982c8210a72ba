"""What the profile `seeing` starts: every metric is scraped and drawn, and every query is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from offramp.address import Address
from tests.test_seeing import REGISTRIES, shown

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
SUFFIX = re.compile(r"_(bucket|sum|count)$")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="there is no promtool here; on Debian: apt-get install prometheus",
)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"])


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "grafana/dashboard.json").read_text()))


@pytest.fixture(scope="module")
def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", ())]


def test_the_dashboard_draws_every_metric_and_no_other(expressions: list[str]) -> None:
    drawn = set(re.findall(r"offramp_\w+", " ".join(expressions)))
    known = {name: kind for part in REGISTRIES for name, (kind, _) in shown(part).items()}
    metrics = {name if name in known else SUFFIX.sub("", name) for name in drawn}
    assert metrics == set(known)
    assert all(known[SUFFIX.sub("", name)] == "histogram" for name in drawn - set(known))


def test_its_queries_name_labels_that_there_are(expressions: list[str]) -> None:
    labels = {name for part in REGISTRIES for _, names in shown(part).values() for name in names}
    for expression in expressions:
        for names in re.findall(r"by \(([^)]*)\)", expression):
            assert set(names.split(", ")) <= labels | {"le"}, expression


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_prometheus_scrapes_where_server_and_device_show_metrics(services: dict[str, Any]) -> None:
    parsed = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    targets = [t for job in parsed["scrape_configs"] for each in job["static_configs"]
               for t in each["targets"]]  # fmt: skip
    command = services["edge-server"]["command"]
    server = Address.parse(command[command.index("--metrics") + 1])
    device = Address.parse(yaml.safe_load((DEPLOY / "device.yaml").read_text())["metrics"])
    assert targets == [f"edge-server:{server.port}", f"device:{device.port}"]
    assert {server.host, device.host} == {"0.0.0.0"}
    reach = set(services["prometheus"]["networks"])
    assert all(reach & set(services[name]["networks"]) for name in ("edge-server", "device"))


def test_grafana_finds_prometheus_and_the_dashboard(
    services: dict[str, Any], dashboard: dict[str, Any]
) -> None:
    mounted = {Path(m["source"]).name: m["target"] for m in services["grafana"]["volumes"]
               if m["type"] == "bind"}  # fmt: skip
    (source,) = yaml.safe_load((DEPLOY / "grafana/datasource.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provider.yml").read_text())["providers"]
    assert source["url"] == "http://prometheus:9090"
    uids = {p["datasource"]["uid"] for p in dashboard["panels"] if "datasource" in p}
    assert uids == {source["uid"]}
    assert Path(mounted["dashboard.json"]).parent == Path(provider["options"]["path"])
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == mounted["dashboard.json"]


@needs_promtool
def test_prometheus_takes_its_settings() -> None:
    command = ["promtool", "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr


@needs_promtool
def test_prometheus_understands_every_query(expressions: list[str], tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{at}", "expr": expression.replace("$__rate_interval", "10s")}
        for at, expression in enumerate(expressions)
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = ["promtool", "check", "rules", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout
