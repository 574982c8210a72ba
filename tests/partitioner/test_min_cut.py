"""A least cut: whatever the strategy and the conditions, nothing is sent before it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from offramp.bundle import Bundle
from offramp.calibration import load_calibration
from offramp.errors import PlanError
from offramp.exits.fitted import load_policy
from partitioner.candidates import build_candidates
from partitioner.conditions import Conditions
from partitioner.min_cut import sent_from
from partitioner.objective import Objective
from partitioner.plan_command import plan as plan_command
from partitioner.planner import Planner
from partitioner.strategies import STRATEGIES, get

LIVE = [name for name, strategy in STRATEGIES.items() if not strategy.clairvoyant]
CONDITIONS = [
    Conditions(bandwidth_bps=bps, rtt_s=rtt_s, hedged=hedged)
    for bps, rtt_s, hedged in itertools.product((1e5, 1e7, 1e10), (1e-4, 0.2), (False, True))
]
OBJECTIVES = (
    Objective(),
    Objective(minimise="late", deadline_s=0.02),
    Objective(minimise="uplink", max_accuracy_drop=None),
)


@pytest.fixture(scope="module")
def plans_from(embedded: Bundle, make_profile: Callable[..., Any]) -> Callable[[int], Planner]:
    """Makes planners for a quick link's server, to which it is best to send the input."""
    boundaries = embedded.manifest.boundaries
    keys = [f"{at}/{level}" for at, b in enumerate(boundaries) for level in b.levels]
    codecs_s = dict.fromkeys(keys, 1e-4)
    device, server = (
        make_profile(
            embedded.digest,
            [s * at for at in range(len(boundaries))],
            [s / 10] * len(embedded.manifest.exits),
            codecs_s,
            codecs_s,
        )
        for s in (0.010, 0.001)
    )

    def make(min_cut: int) -> Planner:
        sent = sent_from(load_calibration(embedded), min_cut)
        candidates = build_candidates(embedded, sent, load_policy(embedded))
        return Planner(embedded, candidates, device, server)

    return make


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("min_cut", [1, 4])
def test_no_strategy_sends_before_it(
    plans_from: Callable[[int], Planner], name: str, min_cut: int
) -> None:
    planner, strategy = plans_from(min_cut), get(name)
    sent, refused = 0, False
    for conditions, objective in itertools.product(CONDITIONS, OBJECTIVES):
        try:
            plan = strategy.decide(planner, objective, conditions)
        except PlanError:
            refused = True
            continue
        assert plan.level is None or plan.cut >= min_cut
        sent += plan.level is not None
    if name in ("offramp", "neurosurgeon"):
        assert sent
    assert not refused or name.startswith("server_only")


def test_without_one_the_input_is_sent_under_the_same_conditions(
    plans_from: Callable[[int], Planner],
) -> None:
    chosen = [
        plans_from(k).best(Objective(), Conditions(bandwidth_bps=1e10, rtt_s=1e-4)) for k in (0, 1)
    ]
    assert [plan.cut == 0 for plan in chosen] == [True, False]


def test_where_nothing_is_left_to_send_it_says_so(
    plans_from: Callable[[int], Planner], embedded: Bundle
) -> None:
    deepest = max(cut for cut, _ in load_calibration(embedded).levels)
    plans_from(deepest)
    with pytest.raises(PlanError, match=f"the last one from which the bundle sends is {deepest}"):
        plans_from(deepest + 1)


def test_offramp_plan_keeps_to_it(
    embedded_file: Path, plans_from: Callable[[int], Planner], tmp_path: Path
) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(plans_from(0).device.model_dump_json())
    words = [str(embedded_file), "--device-profile", str(profile), "--rtt-ms", "1"]
    words += ["--bandwidth-mbps", "10", "--min-cut"]
    said = CliRunner().invoke(plan_command, [*words, "99"])
    assert isinstance(said.exception, PlanError)
    assert "nothing may be sent before cut 99" in str(said.exception)
    assert CliRunner().invoke(plan_command, [*words, "2"]).exit_code == 0
