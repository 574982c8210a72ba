"""The device part of a model: what has run, and for good, once a sub-module has answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from offramp.training.samples import Batch

__all__ = ["catch_output", "find_device_part"]


def find_device_part(model: nn.Module, batch: Batch, until: str) -> frozenset[str]:
    """Return the paths of the sub-modules that run before ``until`` has answered, and only then.

    With a sub-module go all inside it, such as what it uses without calling it.
    """
    before, after = set[str](), set[str]()
    reached = False

    def note(path: str) -> None:
        nonlocal reached
        (after if reached else before).add(path)
        reached = reached or path == until

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, _output, path=path: note(path))
        for path, module in model.named_modules(remove_duplicate=False)
    ]
    try:
        with torch.no_grad():
            model.eval()(*batch.positional, **batch.keyword)
    finally:
        for hook in hooks:
            hook.remove()
    done = before - after
    return frozenset(
        path
        for path, _ in model.named_modules()
        if path not in after and any(path == one or path.startswith(f"{one}.") for one in done)
    )


@contextmanager
def catch_output(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a module returns within the context."""
    caught: list[Tensor] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        yield caught
    finally:
        hook.remove()
