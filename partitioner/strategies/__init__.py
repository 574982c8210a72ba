"""Strategies: Offramp's own and those it is compared with, under their own names."""

from offramp.choices import choose
from partitioner.strategies.adaptive import Adaptive
from partitioner.strategies.device_exits import DeviceExits
from partitioner.strategies.device_only import DeviceOnly
from partitioner.strategies.server_only import ServerOnly
from partitioner.strategies.static import Static
from partitioner.strategies.strategy import Strategy

__all__ = ["STRATEGIES", "Strategy", "get"]

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (DeviceOnly(), DeviceExits(), ServerOnly(), Static(), Adaptive())
}


def get(name: str) -> Strategy:
    """Return a strategy by name; raise `ConfigError` if it is unknown."""
    return choose("strategy", name, STRATEGIES)
