"""Strategies: Offramp's own and those it is compared with, under their own names."""

from offramp.choices import choose
from offramp.errors import ConfigError
from partitioner.strategies.ans import Ans
from partitioner.strategies.dads import Dads
from partitioner.strategies.device_exits import DeviceExits
from partitioner.strategies.device_only import DeviceOnly
from partitioner.strategies.edgent import Edgent
from partitioner.strategies.fixed_split import FixedSplit
from partitioner.strategies.neurosurgeon import Neurosurgeon
from partitioner.strategies.offramp import Offramp
from partitioner.strategies.oracle import Oracle
from partitioner.strategies.portend import Portend
from partitioner.strategies.qdmp import Qdmp
from partitioner.strategies.server_only import ServerOnly
from partitioner.strategies.server_only_raw import ServerOnlyRaw
from partitioner.strategies.spinn import Spinn
from partitioner.strategies.static import Static
from partitioner.strategies.strategy import Clairvoyant, Strategy
from partitioner.strategy_names import DEPLOYED, SIMULATED

__all__ = ["STRATEGIES", "Clairvoyant", "Strategy", "get"]

STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        Offramp,
        DeviceOnly,
        DeviceExits,
        ServerOnly,
        ServerOnlyRaw,
        FixedSplit,
        Neurosurgeon,
        Dads,
        Qdmp,
        Edgent,
        Spinn,
        Portend,
        Ans,
        Static,
        Oracle,
    )
}


def get(name: str, *, simulated: bool = False) -> Strategy:
    """Return a strategy by name, for one run of one device.

    Raises `ConfigError` if it is unknown, or exists only where the run is ``simulated``; it names
    those that may be chosen.
    """
    if name in SIMULATED and not simulated:
        raise ConfigError(
            f"strategy {name!r} knows what comes, so it exists only in offramp simulate; choose "
            f"one of {', '.join(DEPLOYED)}"
        )
    live = {each: STRATEGIES[each] for each in DEPLOYED}
    return choose("strategy", name, STRATEGIES if simulated else live)()
