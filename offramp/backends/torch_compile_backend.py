"""Backend `torch_compile`: `torch.compile` with its default compiler, for servers."""

from __future__ import annotations

import os
import shutil

from offramp.backends.backend import Backend, Chain, Run
from offramp.backends.torch_backend import TorchBackend, load_programs, run_module

__all__ = ["TorchCompileBackend"]


class TorchCompileBackend(Backend):
    """Runs ``program.json`` as one compiled function.

    The first call with one sample compiles, and so does the first with several: seconds to
    minutes, which a server spends once.
    """

    name = "torch_compile"
    package = "torch"
    file = TorchBackend.file
    ready_at_once = False

    def missing(self) -> str | None:
        """Return what to install, or None."""
        compiler = os.environ.get("CXX", "g++")
        return super().missing() or (None if shutil.which(compiler) else compiler)

    def load(self, chain: Chain, threads: int) -> Run:
        """Build the programs; they are compiled when they first run."""
        import torch

        return run_module(torch.compile(load_programs(chain), dynamic=True), threads)
