"""Mixtures: plans with shares by which devices that share a server handle the most samples.

A plan takes so many seconds of device, uplink and server for a sample. Where samples are spread
over several plans the means count, so one plan may load what another leaves idle. `docs/design`
has the proofs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PlanError
from offramp.quantities import say_time
from partitioner.conditions import Conditions
from partitioner.demands import Floats
from partitioner.forecast import Forecast
from partitioner.measures import get_measure, get_quantile
from partitioner.objective import Objective
from partitioner.offers import check_feasible
from partitioner.pareto import undercut_by_none
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.shares import Solution, solve

__all__ = ["RESOURCES", "Mixer", "Mixture", "Part", "Sharing"]

RESOURCES = ("device", "uplink", "server")

_EXACT = 1e-9

_Bounds = dict[str, tuple[Floats, float]]
"""By measure, candidates' values (C,) and the most that they may come to in the mean."""


@dataclass(frozen=True)
class Sharing:
    """Who shares what: ``devices`` have one server that runs ``workers`` samples at a time.

    Each has an uplink of its own, or all have one together (``one_uplink``).
    """

    devices: int
    workers: int = 1
    one_uplink: bool = False

    @property
    def factors(self) -> Floats:
        """How many seconds pass for one that a sample of each device takes of `RESOURCES`, (3,)."""
        uplinks = self.devices if self.one_uplink else 1
        return np.array([1.0, uplinks, self.devices / self.workers])


@dataclass(frozen=True)
class Part:
    """One plan of a mixture: the ``share`` of samples under it, and what one of them takes.

    ``takes_s`` (3,) are seconds of the device, of the uplink and of a worker of the server.
    ``period_s`` is the time between a device's samples where all of them run under this plan.
    """

    plan: Plan
    share: float
    accuracy: float
    takes_s: Floats
    period_s: float


@dataclass(frozen=True)
class Mixture:
    """The parts of a mixture, most used first; each device handles a sample every ``period_s``.

    ``busy`` is the share of time that each resource works. ``worth`` is by how many percent the
    throughput would grow with 1% more of a resource, such as a device faster by 1%, if it grew on
    as it begins; ``worth_of_limits``, by measure, by how many it does with a limit higher by 1%, or
    by 0.1% of the samples for "late", and for "accuracy" with a floor lower by as many.
    """

    parts: tuple[Part, ...]
    period_s: float
    busy: dict[str, float]
    worth: dict[str, float]
    worth_of_limits: dict[str, float]

    @property
    def accuracy(self) -> float:
        """The accuracy in the mean over samples."""
        return sum(part.share * part.accuracy for part in self.parts)

    @property
    def takes_s(self) -> Floats:
        """What a sample takes in the mean, as `Part.takes_s`."""
        means: Floats = np.sum([part.share * part.takes_s for part in self.parts], axis=0)
        return means


class Mixer:
    """Finds the best mixture, and the best plan alone, for an objective under conditions.

    What the objective minimises is put aside for throughput. Its floor and limits hold for the
    mixture: accuracy, lateness, bytes and joules are means over samples, whichever plan they come
    under; memory has to suffice for every plan. Latencies are those of a sample that waits for no
    other. At full load a device has no time to compute on, so there is no hedge.
    """

    def __init__(
        self, planner: Planner, objective: Objective, conditions: Conditions, sharing: Sharing
    ) -> None:
        self._planner = planner
        self._objective = objective
        self._conditions = replace(conditions, hedged=False)
        self._forecast = forecast = planner.forecast(self._conditions)
        self._takes_s = _takes_s(forecast)
        self._loads_s = self._takes_s * sharing.factors
        floor = planner.accuracy_floor(objective)
        self._bounds: _Bounds = {"accuracy": (-planner.accuracy(hedged=False), -floor)}
        self._limits = {n: m for n, m in objective.kept.items() if n not in ("memory", "period")}
        for name, most in self._limits.items():
            self._bounds[name] = _bound(forecast, objective, name, most)
        self._usable = _usable(forecast, objective)

    def best(self) -> Mixture:
        """Return the mixture of the highest throughput.

        Raises `PlanError` if no mixture meets the objective, with what could be kept instead.
        """
        if not len(self._usable):
            self._refuse()
        found = self._solve(self._bounds)
        if found is None:
            self._refuse()
        rows, solution = found
        self._check_period(solution.period)
        return self._mixture(rows, solution)

    def _solve(self, bounds: _Bounds) -> tuple[NDArray[np.int64], Solution] | None:
        """Return candidates' rows and what is best of them; None if nothing is.

        Its period is in seconds; of prices of limits no more is told than which are above 0.
        """
        values = np.stack([values for values, _ in bounds.values()], axis=1)[self._usable]
        kept = undercut_by_none(np.hstack([self._loads_s[self._usable], values]))
        rows, values = self._usable[kept], values[kept]
        most = np.array([most for _, most in bounds.values()])
        units = _units(np.vstack([np.abs(values) / 1e3, np.abs(most)]).max(axis=0))
        loads_s = self._loads_s[rows]
        scale_s = _scale_s(loads_s)
        found = solve(loads_s / scale_s, values / units, most / units)
        if found is None:
            return None
        return rows, replace(found, period=found.period * scale_s)

    def alone(self) -> Part | None:
        """Return the plan of the highest throughput by itself; None if none keeps the limits."""
        keeps = [values[self._usable] <= most + _EXACT for values, most in self._bounds.values()]
        rows = self._usable[np.logical_and.reduce(keeps)]
        if not len(rows):
            return None
        return self._part(int(rows[self._loads_s[rows].max(axis=1).argmin()]), 1.0)

    def quickest(self) -> Part:
        """Return the plan of least mean latency: that which a device chooses for itself."""
        objective = self._objective.model_copy(update={"minimise": "mean"})
        return self._part(int(self._planner.rank(objective, self._conditions).rows[0]), 1.0)

    def _mixture(self, rows: NDArray[np.int64], found: Solution) -> Mixture:
        prices = dict(zip(self._bounds, found.limit_prices.tolist(), strict=True))
        used = np.flatnonzero(found.shares)
        used = used[np.argsort(-found.shares[used], kind="stable")]
        busy = found.shares @ self._loads_s[rows] / found.period
        # Without a price the mixture would be as good if the limit were not there.
        worth = {n: self._growth(n, found.period) if p > 0 else 0.0 for n, p in prices.items()}
        return Mixture(
            tuple(self._part(int(rows[at]), float(found.shares[at])) for at in used),
            found.period,
            busy=dict(zip(RESOURCES, busy.tolist(), strict=True)),
            worth=dict(zip(RESOURCES, found.resource_prices.tolist(), strict=True)),
            worth_of_limits=worth,
        )

    def _growth(self, name: str, period_s: float) -> float:
        """Return by how many percent throughput grows if a limit is a little higher."""
        values, most = self._bounds[name]
        if name in ("accuracy", "late"):
            raised = values, most + 0.001
        else:
            raised = _bound(self._forecast, self._objective, name, 1.01 * self._limits[name])
        found = self._solve({**self._bounds, name: raised})
        return 0.0 if found is None else max(100 * (period_s / found[1].period - 1), 0.0)

    def _part(self, row: int, share: float) -> Part:
        return Part(
            self._planner.plan_of(row),
            share,
            float(self._planner.candidates.accuracy[row]),
            self._takes_s[row],
            float(self._loads_s[row].max()),
        )

    def _check_period(self, period_s: float) -> None:
        """Raise `PlanError` if the objective asks for more samples than the best mixture has."""
        most_s = self._objective.limits.period_s
        if most_s is not None and period_s > most_s * (1 + _EXACT):
            raise PlanError(
                f"no mixture handles a sample of each device every {say_time(most_s)}; the best "
                f"takes {say_time(period_s)}: allow that, or let fewer devices share"
            )

    def _refuse(self) -> NoReturn:
        """Raise `PlanError`: a single plan is a mixture too, so none of them is feasible."""
        limits = self._objective.limits.model_copy(update={"period_s": None})
        objective = self._objective.model_copy(update={"limits": limits})
        check_feasible(self._planner, objective, self._conditions)
        raise PlanError("the mixture was not found, as limits are too far apart; give fewer")


def _takes_s(forecast: Forecast) -> Floats:
    """Return the seconds that a sample takes of device, uplink and server, (C, 3)."""
    now = forecast.conditions
    device_s = forecast.costs.mean.device_s * now.device_stretch
    uplink_s = forecast.uplink_bytes * (8 / now.bandwidth_bps)
    return np.stack([device_s, uplink_s, forecast.server_s], axis=1)


def _usable(forecast: Forecast, objective: Objective) -> NDArray[np.int64]:
    """Return the rows of the plans that the device can hold, and that need no missing server."""
    most = objective.limits.memory_bytes
    usable = forecast.costs.held_bytes <= (np.inf if most is None else most)
    if not forecast.conditions.reachable:
        usable &= ~forecast.costs.sends
    return np.flatnonzero(usable)


def _bound(
    forecast: Forecast, objective: Objective, name: str, most: float
) -> tuple[Floats, float]:
    """Return what a limit allows in the mean: the plans' values (C,) and the most.

    A quantile is no mean, but that p95 is at most t says that a share of 0.05 may be later than t.
    """
    share = get_quantile(name)
    if share is not None:
        return forecast.late_share(most), 1 - share
    return get_measure(name).values(forecast, objective.latest_s), most


def _units(sizes: Floats) -> Floats:
    return np.where(sizes > 0, sizes, 1.0)


def _scale_s(loads_s: Floats) -> float:
    """Return the least period of any plan; raise `PlanError` if it is 0."""
    scale_s = float(loads_s.max(axis=1).min())
    if scale_s <= 0:
        raise PlanError(
            "by these profiles some plan takes no time at all, so throughput has no bound; measure "
            "them with: offramp profile"
        )
    return scale_s
