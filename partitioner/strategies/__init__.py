"""Strategies: Offramp's own and those it is compared with, under their own names."""

from collections.abc import Callable

from offramp.choices import choose
from partitioner.strategies.device_exits import DeviceExits
from partitioner.strategies.device_only import DeviceOnly
from partitioner.strategies.fixed_split import FixedSplit
from partitioner.strategies.offramp import Offramp
from partitioner.strategies.server_only import ServerOnly
from partitioner.strategies.strategy import Strategy

__all__ = ["STRATEGIES", "Strategy", "get"]

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    strategy.name: strategy
    for strategy in (DeviceOnly, DeviceExits, ServerOnly, FixedSplit, Offramp)
}


def get(name: str) -> Strategy:
    """Return a strategy by name, for one run of one device.

    Raises `ConfigError` if it is unknown.
    """
    return choose("strategy", name, STRATEGIES)()
