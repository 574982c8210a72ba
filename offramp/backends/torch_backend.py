"""Backend `torch`: eager PyTorch on the CPU, the reference."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from offramp.backends.backend import Backend, Run
from offramp.errors import BundleError
from offramp.tensors import Array

__all__ = ["TorchBackend"]


class TorchBackend(Backend):
    """Runs ``program.json`` operation by operation."""

    name = "torch"
    file = "program.json"

    def missing(self) -> str | None:
        """Return the package to install, or None."""
        return None if importlib.util.find_spec("torch") else "torch"

    def load(self, folder: Path, threads: int) -> Run:
        """Build the program; torch keeps one thread count for the process, the last one asked."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from offramp.backends.torch_program import build_program

        torch.set_num_threads(threads)
        try:
            weights = load_file(folder / "weights.safetensors")
            module = build_program((folder / self.file).read_bytes(), weights)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{folder}: cannot be read ({error})") from None

        def run(inputs: Sequence[Array]) -> list[Array]:
            with torch.inference_mode():
                tensors = [torch.from_numpy(_plain(array)) for array in inputs]
                return [output.numpy() for output in module(*tensors)]

        return run


def _plain(array: Array) -> Array:
    """Return an array that torch can share: writable, and without negative strides."""
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()
