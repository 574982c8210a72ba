"""Backend `executorch`: ExecuTorch with XNNPACK's kernels, for the cores of small boards."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from offramp.backends.backend import Backend, Chain, Run
from offramp.backends.torch_backend import TorchBackend, load_programs, shareable
from offramp.errors import ConfigError
from offramp.tensors import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ExecutorchBackend"]

_Kinds = tuple[tuple[tuple[int, ...], str], ...]
"""Shape without the batch, and dtype, of each input."""


class ExecutorchBackend(Backend):
    """Lowers ``program.json`` to XNNPACK and runs it, one sample after the other.

    ExecuTorch's runtime for Python needs torch, so nothing is gained by lowering before: the first
    call lowers, in seconds to tens of seconds. It is fast where a head runs sample by sample, and
    no backend for the batches of a server.
    """

    name = package = "executorch"
    file = TorchBackend.file
    ready_at_once = False

    def missing(self) -> str | None:
        """Return what to install, or None."""
        return super().missing() or TorchBackend().missing()

    def load(self, chain: Chain, threads: int) -> Run:
        """Read the programs; they are lowered when they first run."""
        load_programs(chain)
        methods: dict[_Kinds, _Method] = {}

        def run(inputs: Sequence[Array]) -> list[Array]:
            _use_threads(threads)
            kinds = tuple((array.shape[1:], array.dtype.str) for array in inputs)
            if kinds not in methods:
                methods[kinds] = _method(_lower(chain, kinds))
            rows = [_row(methods[kinds], inputs, at) for at in range(len(inputs[0]))]
            return [np.concatenate(arrays) for arrays in zip(*rows, strict=True)]

        return run


@dataclass(frozen=True)
class _Method:
    """A method of ExecuTorch's runtime, and the data that it reads and does not keep alive."""

    method: Any
    data: bytes

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        outputs: list[Tensor] = self.method.forward(tensors)
        return outputs


def _row(call: _Method, inputs: Sequence[Array], at: int) -> list[Array]:
    import torch

    tensors = tuple(torch.from_numpy(shareable(array[at : at + 1])) for array in inputs)
    return [output.numpy() for output in call(tensors)]


@lru_cache(maxsize=64)
def _lower(chain: Chain, kinds: _Kinds) -> bytes:
    """Return a chain as ExecuTorch's own file, for one sample; a profile loads each three times."""
    import torch

    examples = tuple(torch.from_numpy(np.zeros((1, *shape), dtype)) for shape, dtype in kinds)
    try:
        with _quiet(), torch.no_grad():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
                XnnpackPartitioner,
            )
            from executorch.exir import to_edge_transform_and_lower

            program = torch.export.export(load_programs(chain), examples)
            edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            return bytes(edge.to_executorch().buffer)
    except Exception as error:  # the lowering raises many kinds; its text is what helps
        text = " ".join(str(error).split())[:600]
        raise ConfigError(f"backend 'executorch' cannot take the model: {text}") from error


def _method(data: bytes) -> _Method:
    from executorch.extension.pybindings import portable_lib

    return _Method(portable_lib._load_for_executorch_from_buffer(data), data)


def _use_threads(threads: int) -> None:
    """Give ExecuTorch's pool, of which a process has one, as many threads as asked for."""
    from executorch.extension.pybindings import portable_lib

    if portable_lib._threadpool_get_thread_count() != threads:
        portable_lib._unsafe_reset_threadpool(threads)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the lowering, which warns about things that are not the user's."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
