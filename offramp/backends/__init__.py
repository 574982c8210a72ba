"""Backends: the engines that run a bundle's segments."""

from offramp.backends.backend import Backend, Chain, Link, Run
from offramp.backends.executorch_backend import ExecutorchBackend
from offramp.backends.onnxruntime_backend import OnnxRuntimeBackend
from offramp.backends.onnxruntime_int8_backend import OnnxRuntimeInt8Backend
from offramp.backends.torch_backend import TorchBackend
from offramp.backends.torch_compile_backend import TorchCompileBackend
from offramp.backends.torch_cuda_backend import TorchCudaBackend
from offramp.choices import choose
from offramp.errors import ConfigError

__all__ = ["BACKENDS", "Backend", "Chain", "Link", "Run", "get", "installed"]

BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        OnnxRuntimeBackend(),
        TorchBackend(),
        ExecutorchBackend(),
        TorchCompileBackend(),
        TorchCudaBackend(),
        OnnxRuntimeInt8Backend(),
    )
}


def get(name: str) -> Backend:
    """Return a backend by name; raise `ConfigError` if it is unknown or not installed."""
    backend = choose("backend", name, BACKENDS)
    missing = backend.missing()
    if missing:
        raise ConfigError(f"backend {name!r} needs the package {missing!r}; install it")
    return backend


def installed() -> list[Backend]:
    """Return the backends that can run here, in order of preference."""
    return [backend for backend in BACKENDS.values() if backend.missing() is None]
