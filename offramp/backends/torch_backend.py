"""Backend `torch`: eager PyTorch on the CPU, the reference."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.backends.backend import Backend, Run
from offramp.errors import BundleError
from offramp.tensors import Array

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TorchBackend", "load_programs", "run_module"]


class TorchBackend(Backend):
    """Runs ``program.json`` operation by operation."""

    name = "torch"
    file = "program.json"

    def missing(self) -> str | None:
        """Return the package to install, or None."""
        return None if importlib.util.find_spec("torch") else "torch"

    def load(self, folders: Sequence[Path], threads: int) -> Run:
        """Build the programs."""
        modules = load_programs(folders)

        def chain(*tensors: Any) -> Any:
            for module in modules:
                tensors = module(*tensors)
            return tensors

        return run_module(chain, threads)


def load_programs(folders: Sequence[Path]) -> list[nn.Module]:
    """Build the program of each folder; raise `BundleError` if one cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from offramp.backends.torch_program import build_program

    try:
        return [
            build_program(
                (folder / TorchBackend.file).read_bytes(), load_file(folder / "weights.safetensors")
            )
            for folder in folders
        ]
    except (OSError, SafetensorError) as error:
        where = ", ".join(map(str, folders))
        raise BundleError(f"{where}: cannot be read ({error})") from None


def run_module(module: Callable[..., Any], threads: int) -> Run:
    """Return a module as a function of arrays; torch has one thread count for the process."""
    import torch

    def run(inputs: Sequence[Array]) -> list[Array]:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            tensors = [torch.from_numpy(_plain(array)) for array in inputs]
            return [output.numpy() for output in module(*tensors)]

    return run


def _plain(array: Array) -> Array:
    """Return an array that torch can share: writable, and without negative strides."""
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()
