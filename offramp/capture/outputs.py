"""What a model returns: which of it are tensors, what they are called, which is the answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

__all__ = ["Returned", "as_plain", "find_returned", "rank_of", "returning_plain"]

_KNOWN = (Tensor, int, float, complex, str, type(None))


@dataclasses.dataclass(frozen=True)
class Returned:
    """A tensor that the model returns: its node, its place among the leaves, its name."""

    node: fx.Node
    place: int
    name: str


def as_plain(returned: Any) -> Any:
    """Return what a model returned with dataclasses as mappings and unknown objects as None.

    Unknown is what holds no result, such as a cache of keys and values.
    """

    def convert(leaf: Any) -> Any:
        if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            fields = dataclasses.fields(leaf)
            return {field.name: as_plain(getattr(leaf, field.name)) for field in fields}
        return leaf if isinstance(leaf, _KNOWN) else None

    return pytree.tree_map(convert, returned)


@contextmanager
def returning_plain(model: nn.Module) -> Iterator[None]:
    """Let a model return what the exporter can take; see `as_plain`."""
    hook = model.register_forward_hook(lambda module, inputs, returned: as_plain(returned))
    try:
        yield
    finally:
        hook.remove()


def find_returned(program: ExportedProgram) -> list[Returned]:
    """Return the tensors that a model returns, each once, named after where they stand in it."""
    (output,) = (n for n in program.graph.nodes if n.op == "output")
    leaves = [
        value
        for value, spec in zip(output.args[0], program.graph_signature.output_specs, strict=True)
        if spec.kind is OutputKind.USER_OUTPUT
    ]
    tree = pytree.tree_unflatten(range(len(leaves)), program.call_spec.out_spec)
    paths = {place: path for path, place in pytree.tree_flatten_with_path(tree)[0]}
    found: dict[fx.Node, Returned] = {}
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, fx.Node) and isinstance(leaf.meta.get("val"), Tensor):
            words = re.findall(r"[A-Za-z0-9]+", pytree.keystr(paths[place]))
            name = "_".join(words if words and words[0][0].isalpha() else ["output", *words])
            found.setdefault(leaf, Returned(leaf, place, name))
    return list(found.values())


def rank_of(node: fx.Node, name: str) -> int:
    """Return how likely an output is the answer, the least rank first.

    That is what is called ``logits``, else what has the shape (batch, classes).
    """
    made = node.meta["val"]
    if name == "logits":
        return 0
    return 1 if made.dim() == 2 and made.dtype.is_floating_point else 2
