"""Backend `onnxruntime_int8`: ONNX Runtime on segments in 8-bit integers, for devices."""

from __future__ import annotations

from offramp.backends.onnxruntime_backend import OnnxRuntimeBackend

__all__ = ["OnnxRuntimeInt8Backend"]


class OnnxRuntimeInt8Backend(OnnxRuntimeBackend):
    """Runs ``int8.onnx``, which `offramp.capture.quantisation` writes and which holds its weights.

    What goes into a segment and comes out is as in ``model.onnx``: float stays float.
    """

    name = "onnxruntime_int8"
    file = "int8.onnx"
    exact = False

    def files(self, folder: str) -> tuple[str, ...]:
        """Return the program alone; the float weights are not read."""
        return (f"{folder}/{self.file}",)
