"""docs/seeing.md has every metric that the code shows, with its kind and labels, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from device.metrics import MetricsSink
from edge_server.seeing.metrics import ServerMetrics
from offramp.messages import Load

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs" / "seeing.md").read_text()


def server_registry() -> CollectorRegistry:
    watched: Any = SimpleNamespace(networks={}, streams=0, load=Load)
    return ServerMetrics(watched).registry


REGISTRIES = {"server": server_registry, "device": lambda: MetricsSink().registry}


def labels_of(registry: CollectorRegistry) -> dict[str, tuple[str, ...]]:
    """Returns the label names of the families that have any."""
    collectors = registry._collector_to_names
    return {
        names[0]: each._labelnames
        for each, names in collectors.items()
        if hasattr(each, "_labelnames")
    }


def shown(part: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    registry = REGISTRIES[part]()
    labels = labels_of(registry)
    return {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            tuple(labels.get(family.name, ())),
        )
        for family in registry.collect()
        if family.name.startswith("offramp_")
    }


def described(part: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    rows = re.findall(rf"^\| `(offramp_{part}_\w+)` \| (\w+) \|(.*?)\|", PAGE, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in rows}


@pytest.mark.parametrize("part", REGISTRIES)
def test_the_page_has_every_metric_and_no_other(part: str) -> None:
    assert described(part) == shown(part)


@pytest.mark.parametrize("part", REGISTRIES)
def test_a_name_ends_with_its_unit_and_a_text_with_a_full_stop(part: str) -> None:
    for family in REGISTRIES[part]().collect():
        if family.name.startswith("offramp_"):
            assert family.documentation.endswith(".")
            assert not re.search(r"_(ms|us|kb|mb|percent)\b", family.name)
