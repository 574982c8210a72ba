"""Backend `torch`: eager PyTorch on the CPU, the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from offramp.backends.backend import Backend, Chain, Run
from offramp.errors import BundleError
from offramp.tensors import Array

if TYPE_CHECKING:
    from torch import fx

__all__ = ["TorchBackend", "load_programs", "run_module", "shareable"]


class TorchBackend(Backend):
    """Runs ``program.json`` operation by operation."""

    name = package = "torch"
    file = "program.json"

    def load(self, chain: Chain, threads: int) -> Run:
        """Build the programs."""
        return run_module(load_programs(chain), threads)


def load_programs(chain: Chain) -> fx.GraphModule:
    """Build a chain as one module; raise `BundleError` if a program cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from offramp.backends.torch_program import build_program, join_programs

    folders = [link.folder for link in chain.links]
    try:
        modules = [
            build_program(
                (folder / TorchBackend.file).read_bytes(), load_file(folder / "weights.safetensors")
            )
            for folder in folders
        ]
    except (OSError, SafetensorError) as error:
        where = ", ".join(map(str, folders))
        raise BundleError(f"{where}: cannot be read ({error})") from None
    return modules[0] if len(modules) == 1 else join_programs(modules, chain)


def run_module(module: Callable[..., Any], threads: int) -> Run:
    """Return a module as a function of arrays; torch has one thread count for the process."""
    import torch

    def run(inputs: Sequence[Array]) -> list[Array]:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            tensors = [torch.from_numpy(shareable(array)) for array in inputs]
            return [output.numpy() for output in module(*tensors)]

    return run


def shareable(array: Array) -> Array:
    """Return an array that torch can share: writable, and without negative strides."""
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()
