"""What `offramp plan` prints: the plan with others beside it, maps and mixtures."""

from __future__ import annotations

from pathlib import Path

from offramp.extras import require_extra
from offramp.sheet import columns_here, show
from partitioner.comparison import Comparison
from partitioner.mixture import Mixer, Sharing
from partitioner.mixture_view import mixture_lines, mixture_table
from partitioner.offers import check_feasible
from partitioner.planner import Planner
from partitioner.situation import Situation
from partitioner.strategies import Strategy
from partitioner.tables import plan_table
from partitioner.what_if import draw_map, sweep
from partitioner.what_if_axes import get_axis
from partitioner.what_if_picture import save_map
from partitioner.what_if_view import MARGIN, map_text, region_table

__all__ = ["show_mixture", "show_plan", "show_what_if"]

_MAP = (72, 20)
_PICTURE = (200, 120)


def show_plan(planner: Planner, strategy: Strategy, at: Situation, said: list[str]) -> None:
    """Print what was ``said`` before, the plan that a strategy takes, the runners-up and why.

    Raises `PlanError` with the nearest offers if none meets the objective, but for a strategy that
    does as it does whatever is asked for: then it shows what that plan breaks.
    """
    among = strategy.among(planner)
    if strategy.steady and len(among.candidates) > 1:
        whose = "" if among is planner else strategy.name
        check_feasible(among, at.objective, at.conditions, whose)
    bare = strategy.decide(planner, at.objective, at.conditions)
    chosen = strategy.explain(planner, bare, at.objective, at.conditions)
    comparison = Comparison(among, at.objective, at.conditions)
    it = comparison.of(bare)
    assert it is not None  # it is one of those that the strategy chooses from
    for line in said:
        show(line)
    show(plan_table(planner.bundle, [it, *comparison.others(bare)], at.objective))
    show(chosen.describe())
    show(chosen.reason)


def show_mixture(planner: Planner, at: Situation, sharing: Sharing, said: list[str]) -> None:
    """Print the mixture of plans by which devices that share a server handle the most samples."""
    require_extra("compile", "scipy")
    mixer = Mixer(planner, at.objective, at.conditions, sharing)
    mixture = mixer.best()
    for line in said:
        show(line)
    show(mixture_table(mixture, sharing))
    for line in mixture_lines(mixture, mixer.alone(), mixer.quickest()):
        show(line)


def show_what_if(
    planner: Planner,
    strategy: Strategy,
    at: Situation,
    names: tuple[str, ...],
    picture: Path | None,
) -> None:
    """Print which plan wins where along one axis or two; the map of two may be a picture too."""
    axis, *others = (get_axis(name).reaching(at) for name in names)
    if not others:
        show(region_table(axis, sweep(planner, strategy, at, axis), at))
        return
    axes = axis, others[0]
    width, height = _MAP
    shape = max(min(width, columns_here() - MARGIN), 2), height
    show(map_text(axes, draw_map(planner, strategy, at, axes, shape), at))
    if picture:
        save_map(picture, axes, draw_map(planner, strategy, at, axes, _PICTURE), at)
