"""Backend `torch_compile`: `torch.compile` with its default compiler, for servers."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offramp.backends.backend import Backend, Run
from offramp.backends.torch_backend import TorchBackend, load_programs, run_module

__all__ = ["TorchCompileBackend"]


class TorchCompileBackend(Backend):
    """Runs ``program.json`` as one compiled function.

    The first call with one sample compiles, and so does the first with several: seconds to
    minutes, which a server spends once.
    """

    name = "torch_compile"
    file = TorchBackend.file
    ready_at_once = False

    def missing(self) -> str | None:
        """Return what to install, or None."""
        if importlib.util.find_spec("torch") is None:
            return "torch"
        return None if shutil.which(os.environ.get("CXX", "g++")) else "g++"

    def load(self, folders: Sequence[Path], threads: int) -> Run:
        """Build the programs; they are compiled when they first run."""
        import torch

        modules = load_programs(folders)

        def chain(*tensors: Any) -> Any:
            for module in modules:
                tensors = module(*tensors)
            return tensors

        return run_module(torch.compile(chain, dynamic=True), threads)
