"""Backend `onnxruntime`: the CPU provider of ONNX Runtime."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from offramp.backends.backend import Backend, Run
from offramp.errors import BundleError
from offramp.tensors import Array

__all__ = ["OnnxRuntimeBackend"]


class OnnxRuntimeBackend(Backend):
    """Runs ``model.onnx``; the device's backend, since it needs no torch."""

    name = "onnxruntime"
    file = "model.onnx"

    def missing(self) -> str | None:
        """Return the package to install, or None."""
        return None if importlib.util.find_spec("onnxruntime") else "onnxruntime"

    def load(self, folder: Path, threads: int) -> Run:
        """Open a session; weights beside the model are mapped, not copied."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it reports to its maker
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(
                str(folder / self.file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises its own kinds for every bad file
            raise BundleError(f"{folder / self.file}: ONNX Runtime refuses it ({error})") from None
        names = [argument.name for argument in session.get_inputs()]

        def run(inputs: Sequence[Array]) -> list[Array]:
            return list(session.run(None, dict(zip(names, inputs, strict=True))))

        return run
