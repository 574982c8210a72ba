"""Torch's composite operations, looked up once for all of an export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

__all__ = ["operations_known"]


@contextmanager
def operations_known() -> Iterator[None]:
    """Let exports look up torch's composite operations once, as none is added meanwhile.

    `torch.export` does so for each of its namespaces, 27 times an export: a sixth of a small
    segment's time. Where its inner parts are not those of torch 2.13, exports are slower and
    otherwise the same.
    """
    try:
        from torch._export import utils
    except ImportError:
        yield
        return
    inner = cast(Any, utils)
    look_up = getattr(inner, "_materialize_cpp_cia_ops", None)
    if look_up is None:
        yield
        return
    inner._materialize_cpp_cia_ops = cache(look_up)
    try:
        yield
    finally:
        inner._materialize_cpp_cia_ops = look_up
