"""Groups of channels that can only be removed together, found by following a model's operations.

What depends on what is worked out by torch-pruning (Fang et al., DepGraph, arXiv 2301.12900).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from offramp.capture.outputs import as_plain
from offramp.errors import CaptureError
from offramp.training.samples import Batch
from offramp.training.slimming.layers import Side, narrow, widths_of

__all__ = ["Drops", "Group", "Member", "find_groups", "merge", "tensors_of", "thin"]

Drops = dict[tuple[str, Side], set[int]]
"""Which inputs or outputs are taken from which layer, by its path."""


_STEPS_A_NODE = 5


@dataclass(frozen=True)
class Member:
    """A layer of a group, and the group's channel behind each of its inputs or outputs concerned.

    ``channels`` maps a position in the layer to a channel of the group; behind a flattening
    several positions are of one channel.
    """

    path: str
    side: Side
    channels: Mapping[int, int]


@dataclass(frozen=True)
class Group:
    """Channels 0 to ``width - 1`` of some layers' outputs and of all inputs that read them.

    They can be removed in runs of ``block``: 1, or the width of an attention head.
    """

    root: str
    width: int
    members: tuple[Member, ...]
    block: int = 1

    @property
    def readers(self) -> tuple[Member, ...]:
        """The layers that read the channels."""
        return tuple(member for member in self.members if member.side == "inputs")

    def drops(self, channels: Collection[int]) -> Drops:
        """Return what is taken from each layer when these channels go."""
        return {
            (member.path, member.side): {
                at for at, channel in member.channels.items() if channel in channels
            }
            for member in self.members
        }


def find_groups(model: nn.Module, batch: Batch, inside: Collection[str]) -> list[Group]:
    """Return the groups of channels that only layers among the sub-modules ``inside`` have.

    Raises `CaptureError` if the model cannot be followed.
    """
    followed, graph = _follow(model, batch)
    steps = _Steps()
    for node in graph.module2node.values():
        node.dependencies = _Counted(node.dependencies, steps)
    paths = {module: path for path, module in followed.named_modules()}
    groups: list[Group] = []
    seen = set[str]()
    for path, module in followed.named_modules():
        widths = widths_of(module)
        if path not in inside or path in seen or module not in graph.module2node or not widths:
            continue
        steps.left = _STEPS_A_NODE * len(graph.module2node)
        try:
            remove = graph.get_pruner_of_module(module).prune_out_channels
            found = graph.get_pruning_group(module, remove, list(range(widths[1])))
        except Exception:  # what the library cannot work out stays as wide as it is
            continue
        members = list(_members(found, paths))
        seen.update(member.path for member in members if member and member.side == "outputs")
        whole = [member for member in members if member and member.path in inside]
        group = Group(path, widths[1], tuple(whole))
        if len(whole) == len(members) and group.readers:
            groups.append(group)
    return groups


@dataclass
class _Steps:
    """How many steps may still be taken to find one group."""

    left: int = 0


class _Counted(list[Any]):
    """What depends on a node: following it is a step.

    The library goes round for ever where channels are joined with a shifted copy of themselves, as
    rotary position embeddings do.
    """

    def __init__(self, dependencies: Iterable[Any], steps: _Steps) -> None:
        super().__init__(dependencies)
        self._steps = steps

    def __iter__(self) -> Iterator[Any]:
        self._steps.left -= 1
        if self._steps.left < 0:
            raise RecursionError("more steps than any group of channels needs")
        return super().__iter__()


def merge(some: Drops, more: Drops) -> Drops:
    """Return what is taken by either of the two."""
    return {layer: some.get(layer, set()) | more.get(layer, set()) for layer in {**some, **more}}


def thin(model: nn.Module, drops: Drops) -> None:
    """Take inputs and outputs from a model's layers, in place."""
    for (path, side), gone in drops.items():
        module = model.get_submodule(path)
        inputs, outputs = widths_of(module) or (0, 0)
        width = inputs if side == "inputs" else outputs
        narrow(module, side, [at for at in range(width) if at not in gone])


def tensors_of(returned: Any) -> list[Tensor]:
    """Return the tensors of floats among what a model returned."""
    leaves = pytree.tree_leaves(as_plain(returned))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _follow(model: nn.Module, batch: Batch) -> tuple[nn.Module, Any]:
    """Return a copy and the library's graph of what depends on what in it."""
    from torch_pruning import DependencyGraph  # the extra compile brings it

    def run(model: nn.Module, batch: Batch) -> list[Tensor]:
        found = tensors_of(model(*batch.positional, **batch.keyword))
        return [tensor for tensor in found if tensor.grad_fn is not None]

    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            followed = deepcopy(model).requires_grad_(True)
            graph = DependencyGraph().build_dependency(followed, batch, run, verbose=False)
            return followed, graph
    except Exception as error:  # whatever it raises for a model beyond it
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CaptureError(
            f"what depends on what in {type(model).__name__} cannot be followed ({reason}); train "
            "without --slim"
        ) from error


def _members(found: Iterable[Any], paths: Mapping[Any, str]) -> Iterator[Member | None]:
    """Yield the layers of a library's group; None for what cannot be made thinner."""
    for item in found:
        layer = item.dep.target.module
        if type(layer).__module__.startswith("torch_pruning"):  # an operation without weights
            if type(layer).__name__ == "_OutputOp":
                yield None
            continue
        if layer not in paths or not widths_of(layer):
            yield None
            continue
        side: Side = "inputs" if "in_channels" in item.dep.handler.__name__ else "outputs"
        yield Member(paths[layer], side, dict(zip(item.idxs, item.root_idxs, strict=True)))
