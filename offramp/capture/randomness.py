"""Which operations draw random numbers as they stand in a graph."""

from __future__ import annotations

import torch
from torch import fx

__all__ = ["is_random"]

_OFF = {"train": False, "training": False, "p": 0.0, "dropout_p": 0.0}
"""Arguments by which an operation that may drop values at random is told not to."""


def is_random(node: fx.Node) -> bool:
    """Tell whether an operation's result may differ from run to run."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    if torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    schema = target._schema.arguments
    given = {argument.name: argument.default_value for argument in schema}
    given.update(zip((argument.name for argument in schema), node.args, strict=False))
    given.update(node.kwargs)
    return not any(name in given and given[name] == off for name, off in _OFF.items())
