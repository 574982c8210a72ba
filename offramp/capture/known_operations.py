"""Torch's composite operations, looked up once for all of an export and for the processor alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

__all__ = ["operations_known"]

_DEVICES = ("_AUTOGRAD_ALIAS_BACKEND_KEYS_TO_OVERRIDE", "_BACKEND_KEYS_TO_OVERRIDE")
_HERE = {"CPU", "Meta", "AutogradCPU", "AutogradMeta"}


@contextmanager
def operations_known() -> Iterator[None]:
    """Let exports look up torch's composite operations once, as none is added meanwhile.

    `torch.export` does so for each of its namespaces, 27 times an export, and registers each
    operation anew for 21 kinds of device; what is captured is in the processor's memory. Together
    that is a quarter of a small segment's time. Where its inner parts are not those of torch 2.13,
    exports are slower and otherwise the same.
    """
    try:
        from torch._export import utils
        from torch.export import exported_program
    except ImportError:
        yield
        return
    with ExitStack() as replaced:
        if look_up := getattr(utils, "_materialize_cpp_cia_ops", None):
            replaced.enter_context(_replace(utils, "_materialize_cpp_cia_ops", cache(look_up)))
        for name in _DEVICES:
            keys = getattr(exported_program, name, [])
            if here := [key for key in keys if key.name in _HERE]:
                replaced.enter_context(_replace(exported_program, name, here))
        yield


@contextmanager
def _replace(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
