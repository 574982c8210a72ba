"""The blocks of a graph side by side in one flow network, and what its arcs carry.

A block's device terminal stands for the pivot before it and all earlier operations, the server
terminal for the pivot behind it and all later ones. A value that later blocks read crosses whenever
its maker is on the device; one from before the block crosses if the server holds one of the
block's readers, unless later blocks read it too and it crosses in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offramp.cuts.blocks import Blocks
from offramp.cuts.dag import Dag
from offramp.cuts.flow import FlowNetwork
from offramp.tensors import Array

__all__ = ["Layout", "Load"]


@dataclass(frozen=True)
class Load:
    """What a network carries: see `FlowNetwork.cut`; ``least``, (inner,), is paid in any case."""

    supply: Array
    drain: Array
    capacities: Array
    least: Array


class Layout:
    """A network whose nodes are the ``inner`` operations of blocks, then values of many readers.

    ``node_block``, int64 (nodes,), is the block of each node, ``block`` that of operations alone;
    ``origins`` and ``targets`` are the nodes that each arc joins. ``foreign`` are the values from
    before a block that are read for the last time within it, ``foreign_block`` which that is.
    """

    def __init__(self, dag: Dag, blocks: Blocks) -> None:
        own, last = blocks.own, blocks.last
        self.inner = blocks.order[blocks.block_of[1:-1] >= 0]
        self.block = own[self.inner]
        self._passes = ((blocks.last_reader > blocks.place) & (last != own))[self.inner]
        makers, readers = dag.arcs
        # Local readings are those of a value in the block in which it is read for the last time.
        local = (last[makers] >= 0) & (own[readers] == last[makers])
        readings = np.bincount(makers[local], minlength=len(dag))
        foreign = (readings > 0) & (own != last)
        self.foreign, self.foreign_block = np.flatnonzero(foreign), last[foreign]
        nodes = np.full(len(dag), -1)
        nodes[self.inner] = np.arange(len(self.inner))
        once, shared = local & (readings == 1)[makers], local & (readings > 1)[makers]
        fed, alone = once & foreign[makers], once & ~foreign[makers]
        self._fed, self._feeds = makers[fed], nodes[readers[fed]]
        self._alone = makers[alone]
        # Values of several readers get nodes of their own behind the operations'.
        several = np.flatnonzero(readings > 1)
        value = np.full(len(dag), -1)
        value[several] = len(self.inner) + np.arange(len(several))
        self._supplied, self._shared = several[foreign[several]], several[~foreign[several]]
        self._supplies = value[self._supplied]
        together = (own[makers] >= 0) & (own[makers] == own[readers])
        arcs = [
            (nodes[self._alone], nodes[readers[alone]]),
            (nodes[self._shared], value[self._shared]),
            (value[makers[shared]], nodes[readers[shared]]),
            (nodes[readers[together]], nodes[makers[together]]),
        ]
        self._endless = int(shared.sum() + together.sum())
        self.node_block = np.concatenate([self.block, last[several]])
        self.origins, self.targets = (np.concatenate(part) for part in zip(*arcs, strict=True))
        self.network = FlowNetwork(len(self.node_block), self.origins, self.targets)

    def load(self, device_s: Array, server_s: Array, out_s: Array) -> Load:
        """Return what the network carries, given what each operation costs, (n,), finite."""
        on_server = server_s[self.inner]
        on_server = on_server + np.bincount(self._feeds, out_s[self._fed], len(self.inner))
        on_device = device_s[self.inner] + np.where(self._passes, out_s[self.inner], 0)
        least = np.minimum(on_server, on_device)
        supply, drain = np.zeros((2, len(self.node_block)))
        supply[: len(least)], drain[: len(least)] = on_server - least, on_device - least
        supply[self._supplies] = out_s[self._supplied]
        sent = np.concatenate([out_s[self._alone], out_s[self._shared]])
        return Load(supply, drain, np.append(sent, np.full(self._endless, np.inf)), least)
