"""The servers that `benchmarks.server` compares, each as code for a process of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.processes import OFFRAMP, listening
from offramp.bundle import Bundle, write_bundle

__all__ = ["VARIANTS", "WHOLE", "copies_of", "start"]

WHOLE = "/plain.Whole/Run"

_ALONE = (
    "from edge_server.scheduling.cost_curve import CostCurve\n"
    "CostCurve.best_size = lambda curve: 1\n"
)

_PLAIN = f"""
import sys
from concurrent import futures
from pathlib import Path
import grpc, numpy as np
from offramp.bundle import open_bundle
from offramp.network import Network
network = Network(open_bundle(Path(sys.argv[1])), "onnxruntime", 1)
(spec,) = network.bundle.manifest.boundaries[0].tensors
network.fuse((0, network.depth))
def run(request, context):
    sample = np.frombuffer(request, spec.dtype).reshape((1, *spec.shape))
    return network.run(0, network.depth, [sample])[0].tobytes()
server = grpc.server(futures.ThreadPoolExecutor(1))
handler = grpc.unary_unary_rpc_method_handler(run)
service, method = "{WHOLE}".strip("/").split("/")
methods = grpc.method_handlers_generic_handler(service, {{method: handler}})
server.add_generic_rpc_handlers((methods,))
print("listening on 127.0.0.1:%d" % server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""

VARIANTS = {
    "offramp": "tails merge where they meet",
    "per cut": "only samples of one cut run as one",
    "alone": "every sample runs alone",
    "plain": "plain gRPC, the whole model, one sample after the other",
}
"""What is compared; ``per cut`` serves a copy of the bundle for each cut, which nothing merges."""


def start(variant: str, bundles: list[Path]) -> AbstractContextManager[str]:
    """Start a variant with one worker of one thread; yields where it listens."""
    if variant == "plain":
        return listening([_PLAIN, str(bundles[0])])
    code = _ALONE + OFFRAMP if variant == "alone" else OFFRAMP
    limits = ["--log-level", "error", "--settings", str(_settings(bundles[0].parent))]
    return listening([code, "serve", *map(str, bundles), "--listen", "127.0.0.1:0", *limits])


def copies_of(bundle: Bundle, folder: Path, count: int) -> list[Path]:
    """Write copies of a bundle under other names, and so with other digests."""
    files = {name: bundle.path(name).read_bytes() for name in bundle.manifest.files}
    fields = bundle.manifest.model_dump(exclude={"files"})
    paths = [folder / f"copy{number}.offramp" for number in range(count)]
    for number, path in enumerate(paths):
        write_bundle(path, {**fields, "name": f"{bundle.manifest.name} {number}"}, files)
    return paths


def _settings(folder: Path) -> Path:
    """Write settings under which all devices may come from one host."""
    file = folder / "settings.yaml"
    file.write_text("max_client_calls: 4096\nmax_connections: 4096\nmax_rate_hz: 100000\n")
    return file
