"""Backend `torch_cuda`: PyTorch on a CUDA device, for servers that have one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offramp.backends.backend import Backend, Chain, Run
from offramp.backends.torch_backend import TorchBackend, load_programs
from offramp.errors import ConfigError
from offramp.tensors import Array

if TYPE_CHECKING:
    from torch import Tensor, fx

__all__ = ["TorchCudaBackend"]

_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))  # Linux, and Linux inside Windows
_WARM_UPS = 3  # calls before a recording, by which libraries choose their kernels

_device_free = threading.Lock()  # a device runs one step at a time, and so does its recording

_Kinds = tuple[tuple[tuple[int, ...], np.dtype], ...]
"""Shape without the batch, and dtype, of each input."""


class TorchCudaBackend(Backend):
    """Runs ``program.json`` on the first CUDA device, as CUDA graphs.

    A graph is recorded for each batch size that is a power of two, at the first call that needs it;
    other batches are filled up to the next one. Tensors cross in pinned memory.
    """

    name = "torch_cuda"
    package = "torch"
    file = TorchBackend.file
    ready_at_once = False

    def missing(self) -> str | None:
        """Return what to install, or None; torch is not loaded to find out."""
        return super().missing() or (
            None if any(driver.exists() for driver in _DRIVERS) else "CUDA driver"
        )

    def load(self, chain: Chain, threads: int) -> Run:
        """Build the programs and move them to the device; the host's ``threads`` do not matter."""
        import torch

        module = load_programs(chain)
        if not torch.cuda.is_available():
            raise ConfigError(
                "backend 'torch_cuda' finds no device: torch was built without CUDA, or the driver "
                "is too old for it; install a torch with CUDA, or choose another backend"
            )
        with _device_free:
            return _Recordings(move(module, "cuda"))


def move(module: fx.GraphModule, device: str) -> fx.GraphModule:
    """Return a module whose weights, and the tensors that it makes, are on a device."""
    import torch
    from torch import fx
    from torch.utils._pytree import tree_map_only

    there = torch.device(device)

    def moved(arguments: Any) -> Any:
        return tree_map_only(torch.device, lambda _: there, arguments)

    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            for node in part.graph.nodes:
                node.args, node.kwargs = moved(node.args), moved(node.kwargs)
            part.recompile()
    return module.to(device)


@dataclass(frozen=True)
class _Recording:
    """A step for one batch size: where its inputs lie, how it is run, and where its outputs lie."""

    given: list[Tensor]
    replay: Callable[[], None]
    made: list[Tensor]


class _Recordings:
    """A module on the device as a function of arrays; may be called from several threads."""

    def __init__(self, module: Callable[..., Sequence[Tensor]]) -> None:
        self._module = module
        self._steps: dict[tuple[int, _Kinds], _Step] = {}

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        import torch

        batch = len(inputs[0])
        size = 1 << max(batch - 1, 0).bit_length()
        kinds = tuple((array.shape[1:], array.dtype) for array in inputs)
        with _device_free, torch.inference_mode():
            if (size, kinds) not in self._steps:
                self._steps[size, kinds] = _Step(self._module, size, kinds)
            return self._steps[size, kinds](inputs, batch)


class _Step:
    """A recording, and the pinned memory from and to which its tensors are copied."""

    def __init__(self, module: Callable[..., Sequence[Tensor]], size: int, kinds: _Kinds) -> None:
        import torch

        zeros = [torch.from_numpy(np.zeros((size, *shape), dtype)) for shape, dtype in kinds]
        self._sent = [_pinned(tensor) for tensor in zeros]
        self._recording = _record(module, zeros)
        self._received = [_pinned(tensor) for tensor in self._recording.made]

    def __call__(self, inputs: Sequence[Array], batch: int) -> list[Array]:
        for pinned, array, tensor in zip(self._sent, inputs, self._recording.given, strict=True):
            pinned.numpy()[:batch] = array
            tensor.copy_(pinned, non_blocking=True)
        self._recording.replay()
        for pinned, tensor in zip(self._received, self._recording.made, strict=True):
            pinned.copy_(tensor, non_blocking=True)
        _wait()
        return [pinned.numpy()[:batch].copy() for pinned in self._received]


def _pinned(like: Tensor) -> Tensor:
    """Return memory of the host, of a tensor's shape and dtype, that the device copies itself."""
    import torch

    return torch.zeros(like.shape, dtype=like.dtype, pin_memory=True)


def _wait() -> None:
    import torch

    torch.cuda.current_stream().synchronize()


def _record(module: Callable[..., Sequence[Tensor]], zeros: Sequence[Tensor]) -> _Recording:
    """Record a module as a CUDA graph; what cannot be recorded is run operation by operation."""
    import torch

    given = [tensor.cuda() for tensor in zeros]
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            made = list(module(*given))
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            recorded = list(module(*given))
    except RuntimeError:  # such as a step that has to know on the host what the device has found
        return _Recording(given, lambda: _run(module, given, made), made)
    return _Recording(given, graph.replay, recorded)


def _run(
    module: Callable[..., Sequence[Tensor]], given: Sequence[Tensor], made: Sequence[Tensor]
) -> None:
    for target, tensor in zip(made, module(*given), strict=True):
        target.copy_(tensor)
